// A histogram of times with bounded relative error, in fixed memory: log-linear buckets as HdrHistogram's.
//
// A value falls into the bucket of its power of two, split into 64 equal parts: a percentile read back is at most
// 1/64 (1.6 %) above the true one. The maximum, the minimum, the sum and the count are exact. 53 × 64 counters.

const SUB_BITS = 6;
const SUB_COUNT = 1 << SUB_BITS;
const EXPONENT_COUNT = 54;

export class TimeHistogram {
  /** Values recorded. */
  count = 0;
  /** Sum of all values, ps. */
  sumPs = 0;
  maxPs = 0;
  minPs = Infinity;
  private readonly buckets = new Float64Array(EXPONENT_COUNT * SUB_COUNT);

  /** Records one time in ps; negative ones count as zero. */
  record(valuePs: number): void {
    const value = valuePs > 0 ? valuePs : 0;
    this.count++;
    this.sumPs += value;
    if (value > this.maxPs) this.maxPs = value;
    if (value < this.minPs) this.minPs = value;
    this.buckets[bucketOf(value)]++;
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
}

function bucketOf(value: number): number {
  if (value < SUB_COUNT) return Math.floor(value);
  // Math.clz32 works on 32 bits: take the high word for large values.
  const high = Math.floor(value / 4294967296);
  const exponent = high > 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(value);
  const shift = exponent - SUB_BITS;
  const part = Math.floor(value / 2 ** shift) - SUB_COUNT;
  return (shift + 1) * SUB_COUNT + part;
}

function upperBoundPs(bucket: number): number {
  if (bucket < SUB_COUNT) return bucket;
  const shift = Math.floor(bucket / SUB_COUNT) - 1;
  const part = bucket % SUB_COUNT;
  return (SUB_COUNT + part + 1) * 2 ** shift - 1;
}
