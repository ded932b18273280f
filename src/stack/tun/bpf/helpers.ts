// Kernel functions that a program may call, by the numbers of enum bpf_func_id: time, random numbers, the processor's id and
// copying from the packet. Maps, tail calls and the rest are unknown here.

export const HELPER_KTIME = 5;
export const HELPER_RANDOM = 7;
export const HELPER_CPU = 8;
export const HELPER_LOAD_BYTES = 26;

/** What may be called. */
export const HELPERS: ReadonlySet<number> = new Set([
  HELPER_KTIME,
  HELPER_RANDOM,
  HELPER_CPU,
  HELPER_LOAD_BYTES,
]);
