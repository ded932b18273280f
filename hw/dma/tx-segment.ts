// Segmentation (82599 7.2.4): one large TCP or UDP message with its headers becomes frames of up to MSS payload bytes. Per
// frame: IPv4 total length, identification (one more each) and checksum; IPv6 payload length; TCP sequence number and flags
// (DTXTCPFLGL, DTXTCPFLGH), UDP length; the transport checksum, for which the driver leaves the pseudo-header's sum without
// length in the field.
//
// A job holds a copy of the message, made by the ring by DMA; it is made on a queue's first such message and grows.

import { fold, sumBytes } from '../wire/checksum.ts';
import {
  ETH_HEADER_BYTES,
  IPV4_CHECKSUM_AT,
  IPV4_HEADER_BYTES,
  IPV4_LENGTH_AT,
  IPV6_HEADER_BYTES,
  IPV6_LENGTH_AT,
  TCP_CHECKSUM_AT,
  TCP_FLAGS_AT,
  TCP_HEADER_BYTES,
  UDP_CHECKSUM_AT,
  UDP_HEADER_BYTES,
  UDP_LENGTH_AT,
} from '../wire/headers.ts';
import * as D from './descriptor.ts';
import { ipLenOf, macLenOf } from './tx-offload.ts';

const IPV4_ID_AT = 4;
const TCP_SEQ_AT = 4;
/** Largest message (PAYLEN has 18 bits), and headers in front of it. */
const MESSAGE_MAX_BYTES = 1 << 18;
const FLAGS_MASK = 0xfff;

export class SegmentJob {
  /** Segments are still to be sent. */
  isActive = false;
  /** Where the ring puts the message, headers first. */
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  headerBytes = 0;
  private l3At = 0;
  private l4At = 0;
  private mssBytes = 0;
  private payloadBytes = 0;
  private sentBytes = 0;
  private index = 0;
  private isIpv4 = false;
  private isTcp = false;
  /** DTXTCPFLGL and DTXTCPFLGH. */
  private flagsFirstMiddle = 0;
  private flagsLast = 0;

  /** Takes a context; false when it cannot segment a message of `messageBytes` with headers. */
  start(
    lens: number,
    tucmd: number,
    mssL4: number,
    messageBytes: number,
    payLenBytes: number,
    maxFrameBytes: number,
  ): boolean {
    this.l3At = macLenOf(lens);
    const ipBytes = ipLenOf(lens);
    this.l4At = this.l3At + ipBytes;
    const l4Bytes = (mssL4 >>> D.CTX_L4LEN_SHIFT) & 255;
    this.headerBytes = this.l4At + l4Bytes;
    this.mssBytes = mssL4 >>> D.CTX_MSS_SHIFT;
    this.isIpv4 = (tucmd & D.TUCMD_IPV4) !== 0;
    const l4Type = tucmd & D.TUCMD_L4T_MASK;
    this.isTcp = l4Type === D.TUCMD_L4T_TCP;
    this.payloadBytes = messageBytes - this.headerBytes;
    this.sentBytes = 0;
    this.index = 0;
    return (
      this.l3At >= ETH_HEADER_BYTES &&
      ipBytes >= (this.isIpv4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) &&
      (this.isTcp || l4Type === D.TUCMD_L4T_UDP) &&
      l4Bytes >= (this.isTcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) &&
      this.mssBytes > 0 &&
      this.headerBytes + this.mssBytes <= maxFrameBytes &&
      this.payloadBytes > 0 &&
      this.payloadBytes === payLenBytes &&
      messageBytes <= MESSAGE_MAX_BYTES
    );
  }

  /** Makes room for a message. */
  reserve(messageBytes: number): void {
    if (this.bytes.length >= messageBytes) return;
    this.bytes = new Uint8Array(messageBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  setFlags(firstMiddle: number, last: number): void {
    this.flagsFirstMiddle = firstMiddle;
    this.flagsLast = last;
  }

  /** Length of the next frame. */
  get nextBytes(): number {
    const left = this.payloadBytes - this.sentBytes;
    return this.headerBytes + (left < this.mssBytes ? left : this.mssBytes);
  }

  /** Whether the next frame is the first one. */
  get isFirst(): boolean {
    return this.index === 0;
  }

  /** Builds the next frame at `to`; the job is over (`isActive` false) after the last. */
  build(target: Uint8Array, view: DataView, to: number): void {
    const frameBytes = this.nextBytes;
    const payloadBytes = frameBytes - this.headerBytes;
    const { headerBytes, l3At, l4At } = this;
    target.set(this.bytes.subarray(0, headerBytes), to);
    const from = headerBytes + this.sentBytes;
    target.set(this.bytes.subarray(from, from + payloadBytes), to + headerBytes);
    const isLast = this.sentBytes + payloadBytes === this.payloadBytes;
    const l3 = to + l3At;
    const l4 = to + l4At;
    if (this.isIpv4) {
      view.setUint16(l3 + IPV4_LENGTH_AT, frameBytes - l3At);
      view.setUint16(l3 + IPV4_ID_AT, view.getUint16(l3 + IPV4_ID_AT) + this.index);
      view.setUint16(l3 + IPV4_CHECKSUM_AT, 0);
      view.setUint16(l3 + IPV4_CHECKSUM_AT, ~fold(sumBytes(view, l3, l4At - l3At)) & 0xffff);
    } else {
      view.setUint16(l3 + IPV6_LENGTH_AT, frameBytes - l3At - IPV6_HEADER_BYTES);
    }
    const l4Bytes = frameBytes - l4At;
    if (this.isTcp) {
      view.setUint32(l4 + TCP_SEQ_AT, view.getUint32(l4 + TCP_SEQ_AT) + this.sentBytes);
      const kept = this.flagsKept(isLast) | ~FLAGS_MASK;
      view.setUint16(l4 + TCP_FLAGS_AT, view.getUint16(l4 + TCP_FLAGS_AT) & kept);
    } else {
      view.setUint16(l4 + UDP_LENGTH_AT, l4Bytes);
    }
    const fieldAt = l4 + (this.isTcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT);
    const sum = ~fold(sumBytes(view, l4, l4Bytes, l4Bytes)) & 0xffff;
    view.setUint16(fieldAt, !this.isTcp && sum === 0 ? 0xffff : sum);
    this.sentBytes += payloadBytes;
    this.index++;
    this.isActive = !isLast;
  }

  private flagsKept(isLast: boolean): number {
    if (isLast) return this.flagsLast;
    return this.index === 0 ? this.flagsFirstMiddle : this.flagsFirstMiddle >>> 16;
  }
}
