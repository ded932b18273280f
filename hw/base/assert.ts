// Programmer errors throw here. Bad input from users and bad requests from drivers never do: those are answered
// by errno, register bit or counter (see ARCHITECTURE.md, "Errors").

/** A broken invariant or a misuse of the model's own interface by the host program. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
}

/** Throws ModelError unless `condition` holds. Not for per-packet loops: the message is built by the caller. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ModelError(message);
}
