// The receive packet buffer split by traffic class (82599 7.7, RXPBSIZE[n]): a frame's user priority gives its class (RTRUP2TC), and
// each class has its own share, level and tail drop. Exists only while the device is in a DCB mode (MRQC.MRQE 2 to 5); otherwise
// everything is class 0 and the port counts alone.
//
// Left out: one FIFO per class for frames that wait for descriptors (the port has one), and queues by class.

import { ETHERTYPE_VLAN } from '../wire/headers.ts';
import { CLASSES } from './pause-frame.ts';

const TYPE_AT = 12;
const TCI_AT = 14;
/** Priority in the tag control information. */
const PCP_SHIFT = 13;
/** Frames that the ring of held frames starts with. */
const RING_START = 256;

export class ClassBuffers {
  /** In-parameter of `hasRoom`, `hold` and `wait`: class of the frame. */
  trafficClass = 0;
  /** RTRUP2TC: class by user priority. */
  readonly classOf = new Uint8Array(CLASSES);
  /** RXPBSIZE, bytes. */
  readonly limitBytes = new Float64Array(CLASSES);
  /** Bytes in each share. */
  readonly levelBytes = new Float64Array(CLASSES);

  private releasePs = new Float64Array(RING_START);
  private lenBytes = new Int32Array(RING_START);
  private heldClass = new Uint8Array(RING_START);
  private head = 0;
  private count = 0;

  /** Sets `trafficClass` of the frame at `at`. */
  classify(view: DataView, at: number): void {
    const isTagged = view.getUint16(at + TYPE_AT) === ETHERTYPE_VLAN;
    this.trafficClass = this.classOf[isTagged ? view.getUint16(at + TCI_AT) >> PCP_SHIFT : 0];
  }

  /** Whether the class's share takes a frame at `nowPs`. */
  hasRoom(nowPs: number, lenBytes: number): boolean {
    this.drain(nowPs);
    return this.levelBytes[this.trafficClass] + lenBytes <= this.limitBytes[this.trafficClass];
  }

  /** The frame leaves its share at `releasePs`. */
  hold(releasePs: number, lenBytes: number): void {
    if (this.count === this.releasePs.length) this.grow();
    const i = (this.head + this.count++) & (this.releasePs.length - 1);
    this.releasePs[i] = releasePs;
    this.lenBytes[i] = lenBytes;
    this.heldClass[i] = this.trafficClass;
    this.levelBytes[this.trafficClass] = this.levelBytes[this.trafficClass] + lenBytes;
  }

  /** A frame waits for descriptors (`lenBytes`), or no longer does (−lenBytes). */
  wait(lenBytes: number): void {
    const level = this.levelBytes[this.trafficClass] + lenBytes;
    this.levelBytes[this.trafficClass] = level > 0 ? level : 0; // it may have come before the split
  }

  /** The split begins: what is in the buffer already is not counted in any share. */
  begin(): void {
    this.levelBytes.fill(0);
    this.count = 0;
  }

  /** Takes out what has left by `nowPs`. */
  drain(nowPs: number): void {
    while (this.count > 0) {
      const i = this.head & (this.releasePs.length - 1);
      if (this.releasePs[i] > nowPs) break;
      const tc = this.heldClass[i];
      this.levelBytes[tc] = this.levelBytes[tc] - this.lenBytes[i];
      this.head++;
      this.count--;
    }
  }

  private grow(): void {
    const size = this.releasePs.length;
    const [releasePs, lenBytes, heldClass] = [this.releasePs, this.lenBytes, this.heldClass];
    this.releasePs = new Float64Array(2 * size);
    this.lenBytes = new Int32Array(2 * size);
    this.heldClass = new Uint8Array(2 * size);
    for (let n = 0; n < this.count; n++) {
      const i = (this.head + n) & (size - 1);
      this.releasePs[n] = releasePs[i];
      this.lenBytes[n] = lenBytes[i];
      this.heldClass[n] = heldClass[i];
    }
    this.head = 0;
  }
}
