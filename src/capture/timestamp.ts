// Time stamps of captures: 64-bit counts of the interface's own unit (pcapng if_tsresol) into seconds and picoseconds.
//
// if_tsresol is one byte: bit 7 clear, 10^-n seconds; set, 2^-n. A count of nanoseconds since 1970 needs 61 bits, so it
// never passes through one double: the division is done digit by digit on halves, bytes for the unusual units.
// Finer than a picosecond (n above 12, or above 39 in base 2) is cut to whole picoseconds; base 2 above 25 bits may be
// off by one picosecond from the exact floor, because the fraction goes through a double.

const TWO_POW_32 = 4294967296;

/** Default of pcapng and the unit of classic files: microseconds. */
export const RESOLUTION_MICROSECONDS = 6;
export const RESOLUTION_NANOSECONDS = 9;

/** Splits 64-bit time stamps. One object per reader; the results are its fields. */
export class TimestampSplitter {
  seconds = 0;
  fractionPs = 0;
  private quotient = 0;
  private remainder = 0;

  /** Sets `seconds` and `fractionPs` from the count `high * 2^32 + low` of units `resolution` (if_tsresol byte). */
  split(high: number, low: number, resolution: number): void {
    if (resolution === RESOLUTION_NANOSECONDS) this.splitSmall(high, low, 1e9, 1e3);
    else if (resolution === RESOLUTION_MICROSECONDS) this.splitSmall(high, low, 1e6, 1e6);
    else if ((resolution & 0x80) !== 0) this.splitBinary(high, low, resolution & 0x7f);
    else this.splitDecimal(high, low, resolution);
  }

  /** Units per second below 2^37: three exact divisions by halves of 16 bits. */
  private splitSmall(high: number, low: number, unitsPerSecond: number, psPerUnit: number): void {
    this.divide(high, unitsPerSecond);
    const upper = this.quotient;
    this.divide(this.remainder * 65536 + (low >>> 16), unitsPerSecond);
    const middle = this.quotient;
    this.divide(this.remainder * 65536 + (low & 0xffff), unitsPerSecond);
    this.seconds = upper * TWO_POW_32 + middle * 65536 + this.quotient;
    this.fractionPs = this.remainder * psPerUnit;
  }

  /** Any power of ten. Units finer than 10^-12 s are first cut to that. */
  private splitDecimal(high: number, low: number, digits: number): void {
    let highLeft = high;
    let lowLeft = low;
    let digitsLeft = digits;
    for (; digitsLeft > 12; digitsLeft--) {
      if (highLeft === 0 && lowLeft === 0) break;
      const carry = highLeft % 10;
      highLeft = Math.floor(highLeft / 10);
      lowLeft = Math.floor((carry * TWO_POW_32 + lowLeft) / 10);
    }
    if (digitsLeft > 12) digitsLeft = 12;
    const unitsPerSecond = 10 ** digitsLeft;
    this.divide(highLeft, unitsPerSecond);
    let seconds = this.quotient;
    for (let shift = 24; shift >= 0; shift -= 8) {
      this.divide(this.remainder * 256 + ((lowLeft >>> shift) & 0xff), unitsPerSecond);
      seconds = seconds * 256 + this.quotient;
    }
    this.seconds = seconds;
    this.fractionPs = this.remainder * 10 ** (12 - digitsLeft);
  }

  /** Any power of two. */
  private splitBinary(high: number, low: number, bits: number): void {
    if (bits <= 32) {
      const units = 2 ** bits;
      const lowSeconds = Math.floor(low / units);
      this.seconds = high * 2 ** (32 - bits) + lowSeconds;
      this.fractionPs = Math.floor(((low - lowSeconds * units) / units) * 1e12);
      return;
    }
    const highUnits = 2 ** (bits - 32);
    const seconds = Math.floor(high / highUnits);
    const fraction = (high - seconds * highUnits) / highUnits + low / 2 ** bits;
    this.seconds = seconds;
    this.fractionPs = Math.min(Math.floor(fraction * 1e12), 999_999_999_999);
  }

  /** Exact quotient and remainder for a dividend below 2^53: the rounded quotient may be one too large. */
  private divide(dividend: number, divisor: number): void {
    let quotient = Math.floor(dividend / divisor);
    let remainder = dividend - quotient * divisor;
    if (remainder < 0) {
      quotient--;
      remainder += divisor;
    }
    this.quotient = quotient;
    this.remainder = remainder;
  }
}
