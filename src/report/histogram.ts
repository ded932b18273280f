// A histogram of times with bounded relative error, in fixed memory: log-linear buckets as HdrHistogram's.
//
// A value falls into the bucket of its power of two, split into 64 equal parts: a percentile read back is at most
// 1/64 (1.6 %) above the true one. The maximum, the minimum, the sum and the count are exact. 53 × 64 counters.
// Exponent and part are read from the bits of the double: `2 ** shift` calls pow, 7 to 10 % of the hardware path's time.

const SUB_BITS = 6;
const SUB_COUNT = 1 << SUB_BITS;
const EXPONENT_COUNT = 54;
/** Mantissa bits in a double's high word, below 11 bits of exponent. */
const MANTISSA_BITS = 20;
const EXPONENT_BIAS = 1023;
/** Which of a double's two words is the high one on this machine. */
const HIGH_WORD = new Uint32Array(Float64Array.of(1).buffer)[1] !== 0 ? 1 : 0;

export class TimeHistogram {
  /** In-parameter of `recordValue` (a field: an argument would be boxed). */
  valuePs = 0;
  /** Values recorded. */
  count = 0;
  /** Sum of all values, ps. */
  sumPs = 0;
  maxPs = 0;
  minPs = Infinity;
  private readonly buckets = new Float64Array(EXPONENT_COUNT * SUB_COUNT);
  private readonly float = new Float64Array(1);
  private readonly words = new Uint32Array(this.float.buffer);

  /** Records one time in ps; negative ones count as zero. */
  record(valuePs: number): void {
    this.valuePs = valuePs;
    this.recordValue();
  }

  /** Records `valuePs`. */
  recordValue(): void {
    const value = this.valuePs > 0 ? this.valuePs : 0;
    this.count++;
    this.sumPs += value;
    if (value > this.maxPs) this.maxPs = value;
    if (value < this.minPs) this.minPs = value;
    const bucket = value < SUB_COUNT ? value | 0 : this.bucketOf();
    this.buckets[bucket] = this.buckets[bucket] + 1;
  }

  /** Smallest bucket bound that at least `fraction` of the values do not exceed, ps; 0 when empty. */
  percentilePs(fraction: number): number {
    if (this.count === 0) return 0;
    const wanted = Math.max(1, Math.ceil(fraction * this.count));
    let seen = 0;
    for (let i = 0; i < this.buckets.length; i++) {
      seen += this.buckets[i];
      if (seen >= wanted) return Math.min(upperBoundPs(i), this.maxPs);
    }
    return this.maxPs;
  }

  /** Bucket of `valuePs`, from SUB_COUNT ps on. */
  private bucketOf(): number {
    this.float[0] = this.valuePs;
    const high = this.words[HIGH_WORD];
    const shift = (high >>> MANTISSA_BITS) - EXPONENT_BIAS - SUB_BITS;
    return (shift + 1) * SUB_COUNT + ((high >>> (MANTISSA_BITS - SUB_BITS)) & (SUB_COUNT - 1));
  }
}

function upperBoundPs(bucket: number): number {
  if (bucket < SUB_COUNT) return bucket;
  const shift = Math.floor(bucket / SUB_COUNT) - 1;
  const part = bucket % SUB_COUNT;
  return (SUB_COUNT + part + 1) * 2 ** shift - 1;
}
