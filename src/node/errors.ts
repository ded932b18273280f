// Errors that the command line tells in one line on standard error and ends with exit status 2.
// Everything else that is thrown is a bug of the program and keeps its stack trace.

/** Bad input: a file that cannot be read or makes no sense. `message` is one line. */
export class InputError extends Error {
  override readonly name: string = 'InputError';
  readonly exitCode = 2;
}

/** A command line that asks for something that is not there. */
export class UsageError extends InputError {
  override readonly name: string = 'UsageError';
}

/** The one line for an error of the operating system on `path`. */
export function systemErrorText(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known: Record<string, string> = {
    ENOENT: 'no such file or directory',
    EACCES: 'permission denied',
    EISDIR: 'is a directory',
    ENOTDIR: 'not a directory',
    ENOSPC: 'no space left on device',
    EMFILE: 'too many open files',
  };
  const text = known[code] ?? (error instanceof Error ? error.message : String(error));
  return `${path}: ${text}`;
}
