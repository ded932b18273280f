// Packet memory of the device: a small ring of slots, each with headroom for a pushed tag. A frame is copied once, on
// its way in, and worked on there. A slot is reused after `SLOTS` further frames, which is enough because a frame's
// journey is computed at once; frames that wait for descriptors are copied to a WaitingFrames ring.
//
// Copying: up to 96 bytes by 32-bit words through two DataViews (no garbage), beyond that by TypedArray.set, although it makes
// a short-lived view: 60 bytes take 40 ns either way, 374 bytes 228 against 76 ns, 1,400 bytes 756 against 157 ns.

const SLOTS = 2;
const HEADROOM_BYTES = 64;
/** Longest copy by words. */
export const WORD_COPY_MAX_BYTES = 96;

export class PacketMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Longest frame that a slot takes, bytes. */
  readonly roomBytes: number;
  private readonly slotBytes: number;
  private next = 0;
  private source: Uint8Array;
  private sourceView: DataView;

  constructor(maxFrameBytes: number) {
    this.roomBytes = maxFrameBytes + 64;
    this.slotBytes = (HEADROOM_BYTES + maxFrameBytes + 64 + 63) & ~63;
    this.bytes = new Uint8Array(this.slotBytes * (SLOTS + 3));
    this.view = new DataView(this.bytes.buffer);
    this.source = this.bytes;
    this.sourceView = this.view;
  }

  /** Offset of a free slot's frame (after the headroom). */
  allocate(): number {
    const slot = this.next;
    this.next = slot + 1 === SLOTS ? 0 : slot + 1;
    return slot * this.slotBytes + HEADROOM_BYTES;
  }

  /** Offset of the one slot that the device itself never takes: for a frame that is made before its time has come. */
  stage(): number {
    return SLOTS * this.slotBytes + HEADROOM_BYTES;
  }

  /** Offset of a slot for a copy of the frame in hand, and of one where that frame is kept meanwhile. */
  copySlot(): number {
    return (SLOTS + 1) * this.slotBytes + HEADROOM_BYTES;
  }

  keepSlot(): number {
    return (SLOTS + 2) * this.slotBytes + HEADROOM_BYTES;
  }

  /** Copies bytes into a slot. */
  copyIn(to: number, from: Uint8Array, at: number, lenBytes: number): void {
    if (lenBytes > WORD_COPY_MAX_BYTES) {
      this.bytes.set(from.subarray(at, at + lenBytes), to);
      return;
    }
    if (from !== this.source) {
      this.source = from;
      this.sourceView = new DataView(from.buffer, from.byteOffset, from.byteLength);
    }
    copyWords(this.sourceView, at, this.view, to, lenBytes);
  }
}

/** Copies `lenBytes` between two views by words. */
export function copyWords(
  from: DataView,
  fromAt: number,
  to: DataView,
  toAt: number,
  lenBytes: number,
): void {
  const words = lenBytes & ~3;
  for (let i = 0; i < words; i += 4) to.setInt32(toAt + i, from.getInt32(fromAt + i));
  for (let i = words; i < lenBytes; i++) to.setUint8(toAt + i, from.getUint8(fromAt + i));
}
