// What a control-plane request of the stack answers: rtnetlink's errno with its extack message, plus a reason for programs.

/** Answer to a control-plane request. */
export interface Answer {
  /** 0 or a negative errno (driver/errno.ts). */
  error: number;
  /** The kernel's extack sentence; '' when it gave none. */
  message: string;
  /** Machine-readable reason, '' for none. */
  reason: string;
}

/** Success. */
export const OK: Answer = Object.freeze({ error: 0, message: '', reason: '' });

/** A refusal: `errno` is the positive number. */
export function refuse(errno: number, message = '', reason = ''): Answer {
  return { error: -errno, message, reason };
}
