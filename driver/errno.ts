// Linux errno numbers that the model uses, by name. Ops return 0 or the negative number.

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENFILE = 23;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EMFILE = 24;
export const ERANGE = 34;
export const EPROTO = 71;
export const ELOOP = 40;
export const EBADFD = 77;
export const EOVERFLOW = 75;
export const EMSGSIZE = 90;
export const EPROTONOSUPPORT = 93;
export const EOPNOTSUPP = 95;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENOTCONN = 107;
export const EINPROGRESS = 115;
export const ENETUNREACH = 101;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const EHOSTUNREACH = 113;

const NAMES: Record<number, readonly [name: string, text: string]> = {
  [EPERM]: ['EPERM', 'Operation not permitted'],
  [ENOENT]: ['ENOENT', 'No such file or directory'],
  [ESRCH]: ['ESRCH', 'No such process'],
  [EINTR]: ['EINTR', 'Interrupted system call'],
  [EIO]: ['EIO', 'Input/output error'],
  [ENXIO]: ['ENXIO', 'No such device or address'],
  [E2BIG]: ['E2BIG', 'Argument list too long'],
  [EBADF]: ['EBADF', 'Bad file descriptor'],
  [EAGAIN]: ['EAGAIN', 'Resource temporarily unavailable'],
  [ENOMEM]: ['ENOMEM', 'Cannot allocate memory'],
  [EACCES]: ['EACCES', 'Permission denied'],
  [EFAULT]: ['EFAULT', 'Bad address'],
  [EBUSY]: ['EBUSY', 'Device or resource busy'],
  [EEXIST]: ['EEXIST', 'File exists'],
  [ENODEV]: ['ENODEV', 'No such device'],
  [EINVAL]: ['EINVAL', 'Invalid argument'],
  [ENFILE]: ['ENFILE', 'Too many open files in system'],
  [EMFILE]: ['EMFILE', 'Too many open files'],
  [EFBIG]: ['EFBIG', 'File too large'],
  [ENOSPC]: ['ENOSPC', 'No space left on device'],
  [ERANGE]: ['ERANGE', 'Numerical result out of range'],
  [EPROTO]: ['EPROTO', 'Protocol error'],
  [ELOOP]: ['ELOOP', 'Too many levels of symbolic links'],
  [EBADFD]: ['EBADFD', 'File descriptor in bad state'],
  [EOVERFLOW]: ['EOVERFLOW', 'Value too large for defined data type'],
  [EMSGSIZE]: ['EMSGSIZE', 'Message too long'],
  [EPROTONOSUPPORT]: ['EPROTONOSUPPORT', 'Protocol not supported'],
  [EOPNOTSUPP]: ['EOPNOTSUPP', 'Operation not supported'],
  [EADDRINUSE]: ['EADDRINUSE', 'Address already in use'],
  [EADDRNOTAVAIL]: ['EADDRNOTAVAIL', 'Cannot assign requested address'],
  [ENETDOWN]: ['ENETDOWN', 'Network is down'],
  [ENOTCONN]: ['ENOTCONN', 'Transport endpoint is not connected'],
  [EINPROGRESS]: ['EINPROGRESS', 'Operation now in progress'],
  [ENETUNREACH]: ['ENETUNREACH', 'Network is unreachable'],
  [ENOBUFS]: ['ENOBUFS', 'No buffer space available'],
  [ETIMEDOUT]: ['ETIMEDOUT', 'Connection timed out'],
  [EHOSTUNREACH]: ['EHOSTUNREACH', 'No route to host'],
};

/** 'ENOSPC' for 28 or −28; 'E123' for a number without a name here. */
export function errnoName(error: number): string {
  return NAMES[Math.abs(error)]?.[0] ?? `E${Math.abs(error)}`;
}

/** What strerror(3) says. */
export function strerror(error: number): string {
  return NAMES[Math.abs(error)]?.[1] ?? `Unknown error ${Math.abs(error)}`;
}
