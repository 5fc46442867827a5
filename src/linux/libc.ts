import { arch, platform } from 'node:os'
import koffi from 'koffi'
import { errnoName, LinuxError, systemCallError } from './errors.ts'

/** `struct msghdr`, with pointers as addresses: see {@link addressOf}. */
export interface MessageHeader {
  msg_name: bigint | null
  msg_namelen: number
  msg_iov: bigint | null
  msg_iovlen: number
  msg_control: bigint | null
  msg_controllen: number
  msg_flags: number
}

type Int = number
type Bytes = Uint8Array

/** C functions with their C names and meanings (section 2 of the manual). */
export interface LibC {
  readonly open: (path: string, flags: Int) => Int
  readonly close: (fd: Int) => Int
  readonly fcntl: (fd: Int, command: Int, argument: Int) => Int
  readonly abort: () => void
  readonly setns: (fd: Int, type: Int) => Int
  readonly flock: (fd: Int, operation: Int) => Int
  readonly ioctl: (fd: Int, request: number) => Int
  readonly socket: (domain: Int, type: Int, protocol: Int) => Int
  readonly bind: (fd: Int, address: Bytes, length: Int) => Int
  readonly connect: (fd: Int, address: Bytes, length: Int) => Int
  readonly listen: (fd: Int, backlog: Int) => Int
  readonly accept4: (fd: Int, address: null, length: null, flags: Int) => Int
  readonly setsockopt: (fd: Int, level: Int, name: Int, value: Bytes, length: Int) => Int
  readonly getsockopt: (fd: Int, level: Int, name: Int, value: Bytes, length: Int[]) => Int
  readonly send: (fd: Int, data: Bytes, length: number, flags: Int) => number
  readonly recv: (fd: Int, data: Bytes, length: number, flags: Int) => number
  readonly sendmsg: (fd: Int, message: MessageHeader, flags: Int) => number
  readonly recvmsg: (fd: Int, message: MessageHeader, flags: Int) => number
  readonly if_nametoindex: (name: string) => number
}

const messageHeader = koffi.struct({
  msg_name: 'void *',
  msg_namelen: 'uint32_t',
  msg_iov: 'void *',
  msg_iovlen: 'size_t',
  msg_control: 'void *',
  msg_controllen: 'size_t',
  msg_flags: 'int',
})

/**
 * The C library's functions that Node has no API for, bound once. They are looked up among the symbols of the running
 * process, so glibc and musl both serve. All calls are synchronous and run on the calling JavaScript thread, which is
 * what makes `setns` usable: it changes the namespace of one thread only. Elsewhere than on Linux the commands that
 * need none of this still work; what needs it throws LinuxError `unsupported-platform`.
 */
export const libc: LibC = isSupported() ? bindLibC() : refuseEverything()

/** The address of a buffer's bytes, for a pointer inside a structure. The caller keeps the buffer alive. */
export function addressOf(buffer: Uint8Array): bigint {
  return koffi.address(buffer)
}

/** The errno that the last failed call left. */
export function lastErrno(): number {
  return koffi.errno()
}

/** Symbolic name of the errno that the last failed call left, e.g. `EAGAIN`. */
export function lastErrnoName(): string {
  return errnoName(koffi.errno())
}

/**
 * Passes a system call's result through; throws {@link LinuxError} `system-call` when it is negative.
 * `subject` says on what the call was made, for the operator.
 */
export function check(result: number, operation: string, subject: string): number {
  if (result < 0) throw systemCallError(operation, subject, koffi.errno())
  return result
}

/** Closes a descriptor; errors are of no use to anyone by then, so there are none. */
export function closeQuietly(fd: number): void {
  libc.close(fd)
}

/** `setsockopt` with an `int` value. True when the kernel took it; the reason is in {@link lastErrno}. */
export function setIntOption(fd: number, level: number, name: number, value: number): boolean {
  // Memory of its own for four bytes costs as much as the system call.
  INT.writeInt32LE(value | 0)
  return libc.setsockopt(fd, level, name, INT, 4) === 0
}

/** `setsockopt` with an `int` value; throws {@link LinuxError} `system-call`. */
export function requireIntOption(
  fd: number,
  level: number,
  name: number,
  value: number,
  label: string,
): void {
  if (!setIntOption(fd, level, name, value)) throw systemCallError('setsockopt', label, koffi.errno())
}

/** Everything that is laid out by hand is written for 64-bit little-endian machines. */
function isSupported(): boolean {
  return platform() === 'linux' && ['x64', 'arm64'].includes(arch())
}

function refuseEverything(): LibC {
  return new Proxy<LibC>(Object.create(null), {
    get: () => {
      const here = `${platform()} on ${arch()}`
      throw new LinuxError('unsupported-platform', `this needs Linux on x64 or arm64, and here is ${here}`)
    },
  })
}

function bindLibC(): LibC {
  const library = koffi.load(null)
  const fcntl = library.func('int fcntl(int fd, int cmd, ...)')
  return {
    open: library.func('int open(const char *path, int flags)'),
    close: library.func('int close(int fd)'),
    // Variadic in C: declared so, for some ABIs pass such arguments in another way.
    fcntl: (fd, command, argument) => fcntl(fd, command, 'int', argument),
    abort: library.func('void abort()'),
    setns: library.func('int setns(int fd, int nstype)'),
    flock: library.func('int flock(int fd, int operation)'),
    // Variadic in C; the third argument is not used by the one request we make, so two are enough on every ABI.
    ioctl: library.func('int ioctl(int fd, unsigned long request)'),
    socket: library.func('int socket(int domain, int type, int protocol)'),
    bind: library.func('int bind(int fd, const uint8_t *addr, uint32_t len)'),
    connect: library.func('int connect(int fd, const uint8_t *addr, uint32_t len)'),
    listen: library.func('int listen(int fd, int backlog)'),
    accept4: library.func('int accept4(int fd, void *addr, void *len, int flags)'),
    setsockopt: library.func(
      'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t len)',
    ),
    getsockopt: library.func(
      'int getsockopt(int fd, int level, int name, uint8_t *value, _Inout_ uint32_t *len)',
    ),
    send: library.func('intptr_t send(int fd, const uint8_t *data, size_t length, int flags)'),
    recv: library.func('intptr_t recv(int fd, uint8_t *data, size_t length, int flags)'),
    sendmsg: library.func('sendmsg', 'intptr_t', ['int', koffi.pointer(messageHeader), 'int']),
    recvmsg: library.func('recvmsg', 'intptr_t', ['int', koffi.inout(koffi.pointer(messageHeader)), 'int']),
    if_nametoindex: library.func('unsigned int if_nametoindex(const char *name)'),
  }
}

/** Filled and read within one call. */
const INT = Buffer.alloc(4)
