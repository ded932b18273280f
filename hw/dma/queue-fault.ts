// What a driver can do wrong with a ring, by name: why a queue stopped, or what the device put right and counted. The 82599
// has no register for most of these (it hangs, or does something undefined); the model stops the queue and says so.

export const QueueFault = {
  NONE: 0,
  BASE_MISALIGNED: 1,
  RING_LENGTH: 2,
  RING_TOO_LONG: 3,
  HEAD_PAST_RING: 4,
  TAIL_PAST_RING: 5,
  HEAD_WRITTEN_LIVE: 6,
  DESCRIPTOR_ADDRESS: 7,
  BUFFER_ADDRESS: 8,
  BUFFER_SIZE: 9,
  DESCRIPTOR_TYPE: 10,
  CHAIN_TOO_LONG: 11,
  ZERO_LENGTH: 12,
  FRAME_TOO_SHORT: 13,
  FRAME_TOO_LONG: 14,
  BAD_CONTEXT: 15,
  BAD_SEGMENTATION: 16,
  RSC_REFUSED: 17,
  HEAD_WRITE_BACK_ADDRESS: 18,
} as const;
export type QueueFault = (typeof QueueFault)[keyof typeof QueueFault];

/** Machine-readable name and one sentence for each QueueFault, by number. */
export const QUEUE_FAULTS: readonly { name: string; text: string }[] = [
  { name: 'none', text: 'no fault' },
  { name: 'base-misaligned', text: 'ring base is not a multiple of 128: the low bits are ignored' },
  { name: 'ring-length', text: 'ring length is 0 or not a multiple of 128: the queue stopped' },
  { name: 'ring-too-long', text: 'more descriptors than the device takes: the queue stopped' },
  { name: 'head-past-ring', text: 'head lies past the ring: the queue stopped' },
  { name: 'tail-past-ring', text: 'tail lies past the ring: the queue stopped' },
  { name: 'head-written-live', text: 'head written while the queue is enabled: ignored' },
  { name: 'descriptor-address', text: 'descriptor outside host memory: the queue stopped' },
  { name: 'buffer-address', text: 'buffer outside host memory: the queue stopped' },
  { name: 'buffer-size', text: 'SRRCTL gives a buffer no bytes: the queue stopped' },
  {
    name: 'descriptor-type',
    text: 'descriptor of a type that does not fit here: the queue stopped',
  },
  {
    name: 'chain-too-long',
    text: 'more than 38 - WTHRESH descriptors in a frame: the queue stopped',
  },
  { name: 'zero-length', text: 'descriptor without data inside of a frame: the queue stopped' },
  { name: 'frame-too-short', text: 'frame of fewer than 17 bytes: the queue stopped' },
  { name: 'frame-too-long', text: 'frame longer than the device takes: the queue stopped' },
  { name: 'bad-context', text: 'context lengths do not fit the frame: the queue stopped' },
  { name: 'bad-segmentation', text: 'MSS or PAYLEN does not fit the frame: the queue stopped' },
  {
    name: 'rsc-refused',
    text: 'RSCCTL.RSCEN: receive side coalescing is not modelled, the bit stays 0',
  },
  {
    name: 'head-write-back',
    text: 'head write-back address outside host memory: the queue stopped',
  },
];

/** Faults of one queue. */
export class FaultLog {
  /** All faults. */
  total = 0;
  /** By QueueFault. */
  readonly counts = new Float64Array(QUEUE_FAULTS.length);
  /** The latest one. */
  last: QueueFault = QueueFault.NONE;

  add(fault: QueueFault): void {
    this.total++;
    this.counts[fault] = this.counts[fault] + 1;
    this.last = fault;
  }
}
