// Meters: single rate (RFC 2697), two rates (RFC 2698), two rates with committed first (RFC 4115); colour-blind or aware.
//
// Tokens are bytes. A bucket gains one token every 1/rate seconds, so by time t it has been offered floor(rate × t)
// tokens since time 0. Naive idea: tokens += rate × elapsed in floating point: it drifts, and two meters asked at
// different times disagree. Here the tokens offered between two packets are floor(rate × t2) − floor(rate × t1),
// computed exactly: the elapsed picoseconds are taken apart in base 10^4, so that no product leaves 2^53, and the
// fraction of a token is carried as an integer in units of 10^−12 token. Times are floored to whole picoseconds.
//
//  - srTCM (2697): CIR fills bucket C up to CBS; what overflows goes to E up to EBS. Green from C, else yellow from E.
//  - trTCM (2698): peak bucket P (PIR, PBS) first: not enough there is red; then C: not enough is yellow (takes P only).
//  - 4115: C (CIR, CBS) first, then an independent E (EIR, EBS): the excess rate comes on top of the committed one.
// Colour-aware: a packet never gets a better colour than it came with. "Enough" is tokens >= bytes.
// A packet that takes no tokens (red) changes nothing. Time going backwards adds none. Rates up to 400 Gb/s.

import { assert } from '../base/assert.ts';

/** Colours, in the order of drop precedence. */
export const GREEN = 0;
export const YELLOW = 1;
export const RED = 2;

export const METER_SRTCM = 0;
export const METER_TRTCM = 1;
export const METER_RFC4115 = 2;

/** One meter. `excess` means E's rate and size, or P's for trTCM; srTCM has no excess rate. */
export interface MeterConfig {
  algorithm: typeof METER_SRTCM | typeof METER_TRTCM | typeof METER_RFC4115;
  isColourAware: boolean;
  /** CIR, bytes per second. */
  committedBytesPerSecond: number;
  /** CBS, bytes. */
  committedBurstBytes: number;
  /** PIR or EIR, bytes per second. */
  excessBytesPerSecond: number;
  /** EBS or PBS, bytes. */
  excessBurstBytes: number;
}

const MAX_RATE = 5e10;
const PS_PER_S = 1e12;

export class MeterTable {
  readonly meters: number;
  private readonly algorithm: Uint8Array;
  private readonly aware: Uint8Array;
  // Committed bucket at 2n, excess or peak bucket at 2n + 1.
  private readonly rate: Float64Array;
  private readonly size: Float64Array;
  private readonly tokens: Float64Array;
  /** Fraction of the next token, in 10^-12 tokens. */
  private readonly fraction: Float64Array;
  private readonly lastPs: Float64Array;

  constructor(meters: number) {
    this.meters = meters;
    this.algorithm = new Uint8Array(meters);
    this.aware = new Uint8Array(meters);
    this.rate = new Float64Array(2 * meters);
    this.size = new Float64Array(2 * meters);
    this.tokens = new Float64Array(2 * meters);
    this.fraction = new Float64Array(2 * meters);
    this.lastPs = new Float64Array(meters);
  }

  /** Sets a meter; its buckets are full (as all three RFCs start). The token grid starts at time 0. */
  configure(meter: number, config: MeterConfig, nowPs: number): void {
    const rates = [config.committedBytesPerSecond, config.excessBytesPerSecond];
    const sizes = [config.committedBurstBytes, config.excessBurstBytes];
    for (const number of [...rates, ...sizes])
      assert(Number.isSafeInteger(number) && number >= 0, 'meter: whole bytes only');
    assert(Math.max(...rates) <= MAX_RATE, 'meter: rate above 400 Gb/s');
    this.algorithm[meter] = config.algorithm;
    this.aware[meter] = config.isColourAware ? 1 : 0;
    for (let b = 0; b < 2; b++) {
      const at = 2 * meter + b;
      this.rate[at] = rates[b];
      this.size[at] = sizes[b];
      this.fraction[at] = 0;
    }
    this.lastPs[meter] = 0;
    this.refill(meter, nowPs);
    for (let at = 2 * meter; at < 2 * meter + 2; at++) this.tokens[at] = this.size[at];
  }

  /** Colour of a packet of `lenBytes` that came with `inColour` at `atPs`; takes its tokens. */
  colour(meter: number, lenBytes: number, inColour: number, atPs: number): number {
    this.refill(meter, atPs);
    const tokens = this.tokens;
    const c = 2 * meter;
    const e = c + 1;
    const colour = this.aware[meter] === 1 ? inColour : GREEN;
    if (this.algorithm[meter] === METER_TRTCM) {
      if (colour === RED || tokens[e] < lenBytes) return RED;
      tokens[e] = tokens[e] - lenBytes;
      if (colour === YELLOW || tokens[c] < lenBytes) return YELLOW;
      tokens[c] = tokens[c] - lenBytes;
      return GREEN;
    }
    if (colour === GREEN && tokens[c] >= lenBytes) {
      tokens[c] = tokens[c] - lenBytes;
      return GREEN;
    }
    if (colour !== RED && tokens[e] >= lenBytes) {
      tokens[e] = tokens[e] - lenBytes;
      return YELLOW;
    }
    return RED;
  }

  /** Tokens in a meter's committed (0) or excess (1) bucket, bytes, as of the last packet. */
  tokensOf(meter: number, bucket: 0 | 1): number {
    return this.tokens[2 * meter + bucket];
  }

  private refill(meter: number, atPs: number): void {
    const nowPs = Math.floor(atPs);
    const elapsedPs = nowPs - this.lastPs[meter];
    if (elapsedPs <= 0) return;
    this.lastPs[meter] = nowPs;
    const c = 2 * meter;
    const offered = this.offer(c, elapsedPs);
    const room = this.size[c] - this.tokens[c];
    this.add(c, offered);
    if (this.algorithm[meter] !== METER_SRTCM) this.add(c + 1, this.offer(c + 1, elapsedPs));
    else if (offered > room) this.add(c + 1, offered - room);
  }

  private add(bucket: number, offered: number): void {
    const sum = this.tokens[bucket] + offered;
    const size = this.size[bucket];
    this.tokens[bucket] = sum < size ? sum : size;
  }

  /** Whole tokens that the elapsed time brings; carries the fraction. Exact below 2^53 tokens. */
  private offer(bucket: number, elapsedPs: number): number {
    const rate = this.rate[bucket];
    if (rate === 0) return 0;
    const seconds = Math.floor(elapsedPs / PS_PER_S);
    const ps = elapsedPs - seconds * PS_PER_S;
    // rate × ps / 10^12 with ps = a × 10^8 + b × 10^4 + c: divide from the top, carrying remainders down.
    const a = Math.floor(ps / 1e8);
    const b = Math.floor((ps - a * 1e8) / 1e4);
    const c = ps - a * 1e8 - b * 1e4;
    const top = rate * a;
    const topTokens = Math.floor(top / 1e4);
    const middle = (top - topTokens * 1e4) * 1e4 + rate * b;
    const middleTokens = Math.floor(middle / 1e8);
    const low = (middle - middleTokens * 1e8) * 1e4 + rate * c + this.fraction[bucket];
    const lowTokens = Math.floor(low / PS_PER_S);
    this.fraction[bucket] = low - lowTokens * PS_PER_S;
    return rate * seconds + topTokens + middleTokens + lowTokens;
  }
}
