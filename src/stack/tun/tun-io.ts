// read(2), write(2) and poll(2) on a queue: the headers around a packet (struct tun_pi, struct virtio_net_hdr), and what is refused
// (drivers/net/tun.c tun_get_user, tun_put_user; spec A.7, A.8).
//
// A write runs on a core of the machine as the program's system call does. A segmentation request (GSO) in the vnet header is refused as a bad
// header: the model has no segmentation. A checksum left to the receiver (NEEDS_CSUM) is filled in at once.

import { EAGAIN, EBADFD, EFAULT, EINVAL, EIO, ENOMEM } from '../../../driver/errno.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { StackDrop } from '../outcome.ts';
import { WRITE_PS } from './costs.ts';
import { RssSteering } from './steering-rss.ts';
import type { TunDevice, TunHost } from './tun-device.ts';
import type { TunFile } from './tun-file.ts';
import * as U from './uapi.ts';

const ETH_HEADER_BYTES = 14;
const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
const VIRTIO_NET_HDR_GSO_NONE = 0;
/** Bytes behind struct virtio_net_hdr in its hash variant: number of buffers, then hash and report. */
const HASH_VALUE_AT = 12;
const HASH_REPORT_AT = 16;

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

/** Writes one frame on behalf of a program that runs on core `cpu`; bytes taken, or −errno. `bytes` null: bad address. */
export function writeFrame(
  host: TunHost,
  file: TunFile,
  bytes: Uint8Array | null,
  cpu: number,
): number {
  const { tun } = file;
  if (tun === null) return -EBADFD;
  if (bytes === null) return -EFAULT;
  let result = 0;
  const task = (): void => {
    host.kernel.charge(WRITE_PS);
    result = receive(host, tun, file, bytes);
  };
  if (host.kernel.current !== null) task();
  else host.kernel.inContext(cpu % host.kernel.cores.length, task);
  return result;
}

/** tun_get_user. */
function receive(host: TunHost, tun: TunDevice, file: TunFile, bytes: Uint8Array): number {
  const { kernel } = host;
  let at = 0;
  let protocol = 0;
  if ((tun.flags & U.IFF_NO_PI) === 0) {
    if (bytes.length < U.PI_BYTES) return -EINVAL;
    protocol = (bytes[2] << 8) | bytes[3];
    at = U.PI_BYTES;
  }
  let vnetAt = -1;
  if ((tun.flags & U.IFF_VNET_HDR) !== 0) {
    if (bytes.length - at < tun.vnetHeaderBytes) return -EINVAL;
    vnetAt = at;
    at += tun.vnetHeaderBytes;
  }
  const lenBytes = bytes.length - at;
  if (vnetAt >= 0 && headerLength(bytes, vnetAt) > lenBytes) return -EINVAL;
  if (tun.isTap && lenBytes < ETH_HEADER_BYTES) return -EINVAL;
  const padBytes = tun.madeUpHeaderBytes;
  const skb = kernel.alloc_skb(lenBytes + padBytes);
  if (skb === null) {
    tun.stats.rxDropped++;
    return -ENOMEM;
  }
  skb.bytes.set(bytes.subarray(at), skb.at + padBytes);
  skb.lenBytes = lenBytes + padBytes;
  if (vnetAt >= 0 && !applyVnetHeader(bytes, vnetAt, skb, padBytes)) {
    tun.stats.rxFrameErrors++;
    kernel.free_skb(skb);
    return -EINVAL;
  }
  if (!tun.isTap) {
    if ((tun.flags & U.IFF_NO_PI) !== 0)
      protocol = protocolOf(skb.bytes[skb.at + padBytes], lenBytes);
    if (protocol === 0 && (tun.flags & U.IFF_NO_PI) !== 0) {
      tun.stats.rxDropped++;
      kernel.free_skb(skb);
      return -EINVAL;
    }
    makeHeader(skb, protocol);
  }
  return deliver(host, tun, file, skb, lenBytes) ? bytes.length : -EIO;
}

/** Gives the packet to the stack between the policy's two hooks; false when the device is down. */
function deliver(
  host: TunHost,
  tun: TunDevice,
  file: TunFile,
  skb: SkBuff,
  lenBytes: number,
): boolean {
  const { kernel } = host;
  // A program, a single queue or a disabled one: nothing is learned, and nothing is hashed.
  const { steering } = tun;
  const value = file.detached ? 0 : steering.pre_rx(tun, skb);
  if (!tun.dev.isUp) {
    tun.stats.rxDropped++;
    kernel.free_skb(skb);
    return false;
  }
  skb.rxQueue = file.queueIndex + 1;
  kernel.memory.setOwner(kernel.iovaOf(skb.at), -1);
  kernel.netif_receive_skb(skb, tun.dev);
  tun.stats.rxPackets++;
  tun.stats.rxBytes += lenBytes;
  if (value !== 0) steering.post_rx(tun, file, value);
  return true;
}

/** Ethertype by the IP version, 0 for neither. */
function protocolOf(firstByte: number, lenBytes: number): number {
  const version = lenBytes === 0 ? 0 : firstByte >> 4;
  return version === 4 ? ETH_P_IP : version === 6 ? ETH_P_IPV6 : 0;
}

/** The header that a tun's packet carries inside the stack: no addresses, an ethertype. */
function makeHeader(skb: SkBuff, protocol: number): void {
  skb.bytes.fill(0, skb.at, skb.at + ETH_HEADER_BYTES);
  skb.bytes[skb.at + 12] = protocol >> 8;
  skb.bytes[skb.at + 13] = protocol & 0xff;
}

/** hdr_len of a vnet header; with NEEDS_CSUM at least what the checksum field needs. */
function headerLength(bytes: Uint8Array, at: number): number {
  const hdrLen = bytes[at + 2] | (bytes[at + 3] << 8);
  if ((bytes[at] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return hdrLen;
  const start = bytes[at + 6] | (bytes[at + 7] << 8);
  const offset = bytes[at + 8] | (bytes[at + 9] << 8);
  return Math.max(hdrLen, start + offset + 2);
}

/** Fills in the checksum that the header leaves open; false for a segmentation request. */
function applyVnetHeader(bytes: Uint8Array, at: number, skb: SkBuff, padBytes: number): boolean {
  if (bytes[at + 1] !== VIRTIO_NET_HDR_GSO_NONE) return false;
  if ((bytes[at] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return true;
  const start = skb.at + padBytes + (bytes[at + 6] | (bytes[at + 7] << 8));
  const place = start + (bytes[at + 8] | (bytes[at + 9] << 8));
  let sum = 0;
  for (let i = start; i < skb.at + skb.lenBytes; i++)
    sum += ((i - start) & 1) === 0 ? skb.bytes[i] << 8 : skb.bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const checksum = ~sum & 0xffff;
  skb.bytes[place] = checksum >> 8;
  skb.bytes[place + 1] = checksum & 0xff;
  return true;
}

/** Reads one packet into `buffer`: its length (at most the buffer's), −EAGAIN when there is none, −EBADFD, −EINVAL. */
export function readFrame(host: TunHost, file: TunFile, buffer: Uint8Array): number {
  const { tun } = file;
  if (tun === null) return -EBADFD;
  if (buffer.length === 0) return 0;
  const skb = file.ring.shift();
  if (skb === null) return -EAGAIN;
  const total = putUser(tun, skb, buffer);
  if (total < 0) {
    host.drop(skb, StackDrop.TUN_PURGED);
    return total;
  }
  tun.stats.txPackets++;
  tun.stats.txBytes += skb.lenBytes;
  host.consume(skb, 'tun');
  return Math.min(total, buffer.length);
}

/** tun_put_user: headers and packet, cut to the buffer; the whole length, or −EINVAL when the headers do not fit. */
function putUser(tun: TunDevice, skb: SkBuff, buffer: Uint8Array): number {
  const vnetBytes = (tun.flags & U.IFF_VNET_HDR) !== 0 ? tun.vnetHeaderBytes : 0;
  let total = skb.lenBytes + vnetBytes;
  let at = 0;
  if ((tun.flags & U.IFF_NO_PI) === 0) {
    if (buffer.length < U.PI_BYTES) return -EINVAL;
    total += U.PI_BYTES;
    buffer.fill(0, 0, U.PI_BYTES);
    if (buffer.length < total) buffer[0] = U.TUN_PKT_STRIP;
    const typeAt = tun.isTap ? skb.at + 12 : skb.at - 2;
    buffer[2] = skb.bytes[typeAt];
    buffer[3] = skb.bytes[typeAt + 1];
    at = U.PI_BYTES;
  }
  if (vnetBytes > 0) {
    if (buffer.length - at < vnetBytes) return -EINVAL;
    buffer.fill(0, at, at + vnetBytes);
    reportHash(tun, skb, buffer.subarray(at, at + vnetBytes));
    at += vnetBytes;
  }
  const copied = Math.min(skb.lenBytes, buffer.length - at);
  buffer.set(skb.bytes.subarray(skb.at, skb.at + copied), at);
  return total;
}

/** TUNSETVNETHASH with REPORT: the hash stands in the vnet header. */
function reportHash(tun: TunDevice, skb: SkBuff, header: Uint8Array): void {
  const { policy } = tun;
  if (!(policy instanceof RssSteering) || header.length < U.VNET_HDR_HASH_BYTES) return;
  if ((policy.request.flags & U.TUN_VNET_HASH_REPORT) === 0) return;
  const hidden = tun.madeUpHeaderBytes;
  skb.at -= hidden;
  skb.lenBytes += hidden;
  policy.classify(skb);
  skb.at += hidden;
  skb.lenBytes -= hidden;
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  view.setUint32(HASH_VALUE_AT, policy.hashType === 0 ? 0 : policy.hash, true);
  view.setUint16(HASH_REPORT_AT, policy.report, true);
}

/** POLL* bits: readable while a packet waits, writable while the device is up, an error when there is no device. */
export function pollFile(file: TunFile): number {
  const { tun } = file;
  if (tun === null) return U.POLLERR;
  return (file.ring.count > 0 ? U.POLLIN : 0) | (tun.dev.isUp ? U.POLLOUT : 0);
}
