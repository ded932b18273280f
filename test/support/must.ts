// For values that a test knows to be there.

/** The value, or an error when there is none. */
export function must<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('no value where the test needs one');
  return value;
}
