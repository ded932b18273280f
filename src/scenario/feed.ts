// From capture records to frames at ports: what a capture leaves out is made up here, and everything made up is counted.
//
// For each record: link layer to Ethernet, VLAN tags off, snapped bytes filled with zeros, checksums that the capturing
// host had left to its NIC computed, a side chosen (split.ts), and in learning mode the destination MAC set to the
// router's port. `Assumptions` is printed with the summary. Time is not decided here (pacing.ts).

import { DIRECTION_OUTBOUND, DIRECTION_UNKNOWN } from '../capture/record.ts';
import type { CaptureRecord } from '../capture/record.ts';
import { MAX_GROWTH_BYTES, toEthernet } from '../capture/link-layer.ts';
import { LINKTYPE_ETHERNET } from '../capture/link-types.ts';
import {
  checksumState,
  fillChecksum,
  fillHeaderChecksum,
  newShape,
  readShape,
  stripVlanTags,
} from './shape.ts';
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
  /** Packets whose IPv4 total length the capturing host had left at zero. */
  lengthsCompleted = 0;
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
   * Makes a frame of a record. `port` ≥ 0 says where it arrives; −1 leaves that to the capture's own interface (`place`,
   * −1 when its section has only one), its direction flag and the split.
   */
  take(record: CaptureRecord, port: number, place: number): void {
    const haveMac = this.copyIn(record);
    const filled = record.snapped && this.fillCut(record);
    readShape(this.bytes, this.at, this.lenBytes, this.shape);
    if (this.shape.family !== 0) this.mend(filled);
    this.portIndex = this.place(record, port, place, haveMac);
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

  /** Fills what the snap length cut with zeros, up to the length on the wire; whether anything was cut. */
  private fillCut(record: CaptureRecord): boolean {
    const cutBytes = record.wireLenBytes - record.lenBytes;
    const from = this.at + this.lenBytes;
    const to = Math.min(from + cutBytes, this.end);
    if (to <= from) return false;
    this.bytes.fill(0, from, to);
    this.lenBytes = to - this.at;
    this.assumptions.snappedFilled++;
    return true;
  }

  /** Puts the IP length right that segmentation offload left at zero, and completes checksums. */
  private mend(filled: boolean): void {
    const { shape, bytes } = this;
    const l3At = shape.family === 4 ? shape.srcAt - 12 : shape.srcAt - 8;
    if (ipLenBytes(bytes, l3At, shape.family) === 0) this.fillLength(l3At);
    const end = l3At + ipLenBytes(bytes, l3At, shape.family);
    if (shape.l4At === 0 || end > this.at + this.lenBytes || this.isFragment(l3At)) return;
    if (filled) fillChecksum(bytes, shape, end - shape.l4At);
    else if (checksumState(bytes, shape, end - shape.l4At) === 'partial') {
      fillChecksum(bytes, shape, end - shape.l4At);
      this.assumptions.checksumsCompleted++;
    }
  }

  /** IPv4 total length 0 (TSO before the NIC filled it in): the frame's own length, and the header checksum with it. */
  private fillLength(l3At: number): void {
    const lenBytes = this.at + this.lenBytes - l3At;
    if (this.shape.family !== 4 || lenBytes > 0xffff) return;
    const { bytes } = this;
    bytes[l3At + 2] = lenBytes >> 8;
    bytes[l3At + 3] = lenBytes & 0xff;
    fillHeaderChecksum(bytes, l3At);
    this.assumptions.lengthsCompleted++;
  }

  private isFragment(l3At: number): boolean {
    if (this.shape.family !== 4) return this.shape.l4proto === 44;
    return ((this.bytes[l3At + 6] & 0x3f) | this.bytes[l3At + 7]) !== 0;
  }

  private place(record: CaptureRecord, port: number, place: number, haveMac: boolean): number {
    const forced = port >= 0 ? port : this.placedByCapture(record, place);
    const side = this.splitter.side(this.bytes, this.at, this.shape, haveMac, forced);
    return Math.min(side, this.options.portCount - 1);
  }

  /** The port that the capture itself names, −1 when it names none. */
  private placedByCapture(record: CaptureRecord, place: number): number {
    let port = -1;
    if (place >= 0 && place < this.options.portCount) port = place;
    else if (record.direction !== DIRECTION_UNKNOWN)
      port = record.direction === DIRECTION_OUTBOUND ? 1 : 0;
    if (port >= 0) this.assumptions.placedByCapture++;
    return port;
  }
}

/** Length of the IP packet as its header has it; 0 for an IPv4 length field of 0. */
function ipLenBytes(bytes: Uint8Array, l3At: number, family: number): number {
  if (family === 4) return (bytes[l3At + 2] << 8) | bytes[l3At + 3];
  return ((bytes[l3At + 4] << 8) | bytes[l3At + 5]) + 40;
}

/** A locally administered MAC made from an address, for captures that have none. */
function stationMac(address: Uint8Array, side: number): Uint8Array {
  const tail = address.subarray(address.length - 4);
  return Uint8Array.of(0x02, 0xf0 | side, tail[0], tail[1], tail[2], tail[3]);
}
