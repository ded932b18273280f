// Units of simulated time. Everything in the model counts picoseconds in a JavaScript number (gem5's tick):
// exact to 2^53 ps (2.5 h), on the double's grid after that (16 ps after a day), still deterministic.

/** Picoseconds in a nanosecond. */
export const PS_PER_NS = 1e3;
/** Picoseconds in a microsecond. */
export const PS_PER_US = 1e6;
/** Picoseconds in a millisecond. */
export const PS_PER_MS = 1e9;
/** Picoseconds in a second. */
export const PS_PER_S = 1e12;

/** Time that one cycle takes at `frequencyMhz`, in ps (not rounded: 1270 MHz is 787.4015… ps). */
export function cyclePs(frequencyMhz: number): number {
  return 1e6 / frequencyMhz;
}

/** Time that `lenBytes` take on a line of `rateBps` bits per second, in ps, rounded to a whole ps. */
export function serialisePs(lenBytes: number, rateBps: number): number {
  return Math.round((lenBytes * 8 * PS_PER_S) / rateBps);
}
