// Frames that wait in a port's receive buffer because their queue has no descriptor and may not drop (SRRCTL.DROP_EN
// clear): a FIFO of bytes and receive metadata, as large as the port's packet buffer. It is a FIFO for the whole port,
// so one queue without descriptors holds up the others, as in the 82599.

/** What the receive path knows about a frame besides its bytes. One reusable object per device. */
export class RxMeta {
  queueIndex = 0;
  packetId = -1;
  missReason = 0;
  /** Word 0 of the descriptor write-back: packet type and RSS type. */
  packetInfo = 0;
  /** RSS hash or mark. */
  hash = 0;
  /** Status and error bits without DD and EOP. */
  status = 0;
  /** TCI of the outer tag, −1 for none: stripped if the queue says so. */
  vlanTci = -1;
  /** Where that tag lies, bytes from the start of the frame. */
  tagAt = 12;
  /** Where header split cuts, bytes from the start of the frame; 0: nowhere. */
  headerBytes = 0;
  /** Share of the receive buffer that the frame lies in. */
  trafficClass = 0;
  /** A filter asks for an interrupt at once. */
  isLowLatency = false;
}

const META_WORDS = 13;
const M_AT = 10;
const M_LEN = 11;
const M_LOW_LATENCY = 12;

export class WaitingFrames {
  /** Frames in the FIFO. */
  count = 0;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Out-parameters of `peek`: where the oldest frame lies. */
  at = 0;
  lenBytes = 0;

  private readonly meta: Int32Array;
  private readonly mask: number;
  private head = 0;
  private tail = 0;
  private writeAt = 0;

  constructor(bufferBytes: number, maxFrameBytes: number) {
    // A frame is never split: room for the largest one may be lost at the end of the ring.
    this.bytes = new Uint8Array(bufferBytes + 2 * maxFrameBytes);
    this.view = new DataView(this.bytes.buffer);
    const ring = 2 ** Math.ceil(Math.log2(bufferBytes / 60 + 2));
    this.meta = new Int32Array(ring * META_WORDS);
    this.mask = ring - 1;
  }

  /** Appends a copy; false when there is no room. */
  push(meta: RxMeta, bytes: Uint8Array, at: number, lenBytes: number): boolean {
    if (this.count > this.mask) return false;
    let to = this.writeAt;
    if (this.count === 0) to = 0;
    else {
      const oldestAt = this.meta[(this.head & this.mask) * META_WORDS + M_AT];
      if (to > oldestAt && to + lenBytes > this.bytes.length) to = 0;
      if (to <= oldestAt && to + lenBytes > oldestAt) return false;
    }
    this.bytes.set(bytes.subarray(at, at + lenBytes), to);
    const m = (this.tail++ & this.mask) * META_WORDS;
    this.meta[m] = meta.queueIndex;
    this.meta[m + 1] = meta.packetId;
    this.meta[m + 2] = meta.missReason;
    this.meta[m + 3] = meta.packetInfo;
    this.meta[m + 4] = meta.hash;
    this.meta[m + 5] = meta.status;
    this.meta[m + 6] = meta.vlanTci;
    this.meta[m + 7] = meta.tagAt;
    this.meta[m + 8] = meta.headerBytes;
    this.meta[m + 9] = meta.trafficClass;
    this.meta[m + M_LOW_LATENCY] = meta.isLowLatency ? 1 : 0;
    this.meta[m + M_AT] = to;
    this.meta[m + M_LEN] = lenBytes;
    this.writeAt = to + lenBytes;
    this.count++;
    return true;
  }

  /** Fills `meta`, `at` and `lenBytes` from the oldest frame; false when empty. */
  peek(meta: RxMeta): boolean {
    if (this.count === 0) return false;
    const m = (this.head & this.mask) * META_WORDS;
    meta.queueIndex = this.meta[m];
    meta.packetId = this.meta[m + 1];
    meta.missReason = this.meta[m + 2];
    meta.packetInfo = this.meta[m + 3];
    meta.hash = this.meta[m + 4];
    meta.status = this.meta[m + 5];
    meta.vlanTci = this.meta[m + 6];
    meta.tagAt = this.meta[m + 7];
    meta.headerBytes = this.meta[m + 8];
    meta.trafficClass = this.meta[m + 9];
    meta.isLowLatency = this.meta[m + M_LOW_LATENCY] !== 0;
    this.at = this.meta[m + M_AT];
    this.lenBytes = this.meta[m + M_LEN];
    return true;
  }

  /** Removes the oldest frame. */
  pop(): void {
    this.head++;
    this.count--;
  }
}
