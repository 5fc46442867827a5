import t from 'tap'
import { headerValue, headerValues, hostOf, splitPath } from './request.ts'

t.test('repeated headers are one value joined by commas, cookies by semicolons', async (t) => {
  const headers = ['a', '1', 'cookie', 'x=1', 'a', '2', 'cookie', 'y=2', 'empty', '']
  t.strictSame(headerValues(headers, 'a'), ['1', '2'])
  t.equal(headerValue(headers, 'a'), '1,2')
  t.equal(headerValue(headers, 'cookie'), 'x=1; y=2')
  t.equal(headerValue(headers, 'empty'), '')
  t.equal(headerValue(headers, '1'), undefined, 'a value is no name')
})

t.test('a target is split at its first question mark', async (t) => {
  t.strictSame(splitPath('/a?b?c'), { path: '/a', query: 'b?c' })
  t.strictSame(splitPath('/a'), { path: '/a', query: undefined })
  t.strictSame(splitPath('/a?'), { path: '/a', query: '' })
})

t.test('a host has no port, no capitals and no final dot', async (t) => {
  t.equal(hostOf('Echo.Default:8080'), 'echo.default')
  t.equal(hostOf('echo.'), 'echo')
  t.equal(hostOf('[fd00::1]:80'), '[fd00::1]')
  t.equal(hostOf('[fd00::1]'), '[fd00::1]')
})
