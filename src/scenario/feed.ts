// From capture records to frames at ports: what a capture leaves out is made up here, and everything made up is counted.
//
// For each record: link layer to Ethernet, VLAN tags off, snapped bytes filled with zeros, checksums that the capturing
// host had left to its NIC computed, a side chosen (split.ts), and in learning mode the destination MAC set to the
// router's port. `Assumptions` is printed with the summary. Time is not decided here (pacing.ts).

import { DIRECTION_OUTBOUND, DIRECTION_UNKNOWN } from '../capture/record.ts';
import type { CaptureRecord } from '../capture/record.ts';
import { MAX_GROWTH_BYTES, toEthernet } from '../capture/link-layer.ts';
import { LINKTYPE_ETHERNET } from '../capture/link-types.ts';
import { checksumState, fillChecksum, newShape, readShape, stripVlanTags } from './shape.ts';
import { Splitter } from './split.ts';
import type { AddressListener, SplitPolicy } from './split.ts';

/** What was assumed or changed, in packets. */
export class Assumptions {
  /** Frames whose destination MAC was set to the router's port. */
  addressedToRouter = 0;
  /** Frames whose VLAN tags were removed. */
  vlanTagsRemoved = 0;
  /** Frames whose cut bytes were filled with zeros (and their checksum recomputed). */
  snappedFilled = 0;
  /** Frames whose transport checksum the capturing host had left to its NIC. */
  checksumsCompleted = 0;
  /** Packets without an Ethernet header that got one. */
  ethernetHeadersMade = 0;
  /** Packets placed by pcapng interface or direction flag instead of the split. */
  placedByCapture = 0;
  /** Addresses learned on port 0 and port 1. */
  addresses = [0, 0];
}

/** Where frames are made: the device's packet memory in a run, so that a frame is copied once. */
export interface FrameMemory {
  readonly bytes: Uint8Array;
  /** Longest frame that it takes. */
  readonly roomBytes: number;
  /** Offset of room for the next frame; the frame before it is gone. */
  stage(): number;
  copyIn(to: number, from: Uint8Array, at: number, lenBytes: number): void;
}

export interface FeedOptions {
  memory: FrameMemory;
  split: SplitPolicy;
  /** Ports of the machine. */
  portCount: number;
  /** Make up destination MACs, routes and neighbours. */
  learn: boolean;
  /** MAC address of each port (6 bytes each), for learning mode. */
  portMacs: readonly Uint8Array[];
  /** Told of each address when it gets its side (learning mode). */
  onAddress: (family: 4 | 6, address: Uint8Array, side: number, mac: Uint8Array) => void;
}

export class Feed implements AddressListener {
  readonly assumptions = new Assumptions();
  /** The frame made by the last `take`: bytes, start, length; and its port. */
  readonly bytes: Uint8Array;
  at = 0;
  lenBytes = 0;
  portIndex = 0;

  private readonly options: FeedOptions;
  private readonly memory: FrameMemory;
  /** Room for the frame ends here. */
  private end = 0;
  private readonly splitter: Splitter;
  private readonly shape = newShape();

  constructor(options: FeedOptions) {
    this.options = options;
    this.memory = options.memory;
    this.bytes = options.memory.bytes;
    this.splitter = new Splitter(options.split, this);
  }

  /**
   * Makes a frame of a record. `port` ≥ 0 says where it arrives; −1 leaves that to the capture's own flags (when
   * `interfaces` > 1 or a direction is given) and the split.
   */
  take(record: CaptureRecord, port: number, interfaces: number): void {
    const haveMac = this.copyIn(record);
    readShape(this.bytes, this.at, this.lenBytes, this.shape);
    if (this.shape.family !== 0) this.mend(record);
    this.portIndex = this.place(record, port, interfaces, haveMac);
    if (this.options.learn && this.shape.family !== 0 && !this.shape.multicast) {
      this.bytes.set(this.options.portMacs[this.portIndex], this.at);
      this.assumptions.addressedToRouter++;
    }
  }

  onAddress(family: 4 | 6, bytes: Uint8Array, at: number, side: number, macAt: number): void {
    if (!this.options.learn) return;
    const port = Math.min(side, this.options.portCount - 1);
    this.assumptions.addresses[port]++;
    const address = bytes.slice(at, at + (family === 4 ? 4 : 16));
    const mac = macAt >= 0 ? bytes.slice(macAt, macAt + 6) : new Uint8Array(6);
    const usable = macAt >= 0 && (mac[0] & 1) === 0 && mac.some((byte) => byte !== 0);
    this.options.onAddress(family, address, port, usable ? mac : stationMac(address, port));
  }

  /** Copies the record as an Ethernet frame to `bytes`; whether its MAC addresses are the capture's. */
  private copyIn(record: CaptureRecord): boolean {
    const memory = this.memory;
    this.at = memory.stage();
    this.end = this.at + memory.roomBytes;
    if (record.linkType === LINKTYPE_ETHERNET) {
      this.lenBytes = Math.min(record.lenBytes, memory.roomBytes);
      memory.copyIn(this.at, record.bytes, record.at, this.lenBytes);
    } else {
      const fits = record.lenBytes + MAX_GROWTH_BYTES <= memory.roomBytes;
      this.lenBytes = fits ? Math.max(0, toEthernet(record, this.bytes, this.at)) : 0;
      this.assumptions.ethernetHeadersMade++;
    }
    if (this.options.learn) {
      const moved = stripVlanTags(this.bytes, this.at, this.lenBytes);
      if (moved > 0) this.assumptions.vlanTagsRemoved++;
      this.at += moved;
      this.lenBytes -= moved;
    }
    return record.linkType === LINKTYPE_ETHERNET;
  }

  /** Fills cut bytes and completes checksums. */
  private mend(record: CaptureRecord): void {
    const shape = this.shape;
    const l3At = shape.family === 4 ? shape.srcAt - 12 : shape.srcAt - 8;
    const bytes = this.bytes;
    const said =
      shape.family === 4
        ? (bytes[l3At + 2] << 8) | bytes[l3At + 3]
        : ((bytes[l3At + 4] << 8) | bytes[l3At + 5]) + 40;
    const end = l3At + said;
    if (record.snapped && end > this.at + this.lenBytes && end <= this.end) {
      bytes.fill(0, this.at + this.lenBytes, end);
      this.lenBytes = end - this.at;
      if (!this.isFragment(l3At)) fillChecksum(bytes, shape, end - shape.l4At);
      this.assumptions.snappedFilled++;
      return;
    }
    if (shape.l4At === 0 || end > this.at + this.lenBytes || this.isFragment(l3At)) return;
    if (checksumState(bytes, shape, end - shape.l4At) === 'partial') {
      fillChecksum(bytes, shape, end - shape.l4At);
      this.assumptions.checksumsCompleted++;
    }
  }

  private isFragment(l3At: number): boolean {
    if (this.shape.family !== 4) return this.shape.l4proto === 44;
    return ((this.bytes[l3At + 6] & 0x3f) | this.bytes[l3At + 7]) !== 0;
  }

  private place(record: CaptureRecord, port: number, interfaces: number, haveMac: boolean): number {
    const forced = port >= 0 ? port : this.placedByCapture(record, interfaces);
    const side = this.splitter.side(this.bytes, this.at, this.shape, haveMac, forced);
    return Math.min(side, this.options.portCount - 1);
  }

  /** The port that the capture itself names, −1 when it names none. */
  private placedByCapture(record: CaptureRecord, interfaces: number): number {
    let port = -1;
    if (interfaces > 1 && record.interfaceIndex < this.options.portCount)
      port = record.interfaceIndex;
    else if (record.direction !== DIRECTION_UNKNOWN)
      port = record.direction === DIRECTION_OUTBOUND ? 1 : 0;
    if (port >= 0) this.assumptions.placedByCapture++;
    return port;
  }
}

/** A locally administered MAC made from an address, for captures that have none. */
function stationMac(address: Uint8Array, side: number): Uint8Array {
  const tail = address.subarray(address.length - 4);
  return Uint8Array.of(0x02, 0xf0 | side, tail[0], tail[1], tail[2], tail[3]);
}
