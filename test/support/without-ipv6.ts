// Preloaded into a process (`node --import`): the kernel then refuses every
// IPv6 socket of its main thread, as one that was started without IPv6 does.
import { arch } from 'node:process'
import koffi from 'koffi'

const PR_SET_NO_NEW_PRIVS = 38
const PR_SET_SECCOMP = 22
const SECCOMP_MODE_FILTER = 2
const SOCKET_CALL = arch === 'arm64' ? 198 : 41
const AF_INET6 = 10
const EAFNOSUPPORT = 97

/** Classic BPF on `struct seccomp_data`: the call's number is at 0, its first argument at 16. */
const FILTER: readonly (readonly [number, number, number, number])[] = [
  [0x20, 0, 0, 0], // ld [0]
  [0x15, 0, 3, SOCKET_CALL], // jeq socket, else allow
  [0x20, 0, 0, 16], // ld [16]
  [0x15, 0, 1, AF_INET6], // jeq AF_INET6, else allow
  [0x06, 0, 0, 0x00050000 | EAFNOSUPPORT], // ret errno
  [0x06, 0, 0, 0x7fff0000], // ret allow
]

const program = Buffer.alloc(FILTER.length * 8)
for (const [index, [code, ifTrue, ifFalse, operand]] of FILTER.entries()) {
  program.writeUInt16LE(code, index * 8)
  program.writeUInt8(ifTrue, index * 8 + 2)
  program.writeUInt8(ifFalse, index * 8 + 3)
  program.writeUInt32LE(operand, index * 8 + 4)
}
const descriptor = Buffer.alloc(16)
descriptor.writeUInt16LE(FILTER.length, 0)
descriptor.writeBigUInt64LE(koffi.address(program), 8)

const prctl = koffi
  .load(null)
  .func('int prctl(int option, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)')
prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, koffi.address(descriptor), 0, 0) !== 0) {
  throw new Error(`the kernel takes no filter: errno ${koffi.errno()}`)
}
