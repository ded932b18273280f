// ioctl(2) on /dev/net/tun: every request of if_tun.h, the three that the steering RFC proposed and the two of the RSS proposal
// (drivers/net/tun.c __tun_chr_ioctl; spec A.3.2, A.5, A.6). Checks come in Linux's order, so that the same errno wins.
//
// The argument is user memory as a buffer (null: a bad address) or, for requests that take one, a number. Numbers in memory
// are little-endian. A buffer shorter than what a request copies is a bad address: EFAULT.

import { EBADFD, EBUSY, EEXIST, EFAULT, EINVAL, EPERM } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { isVerified, verify } from './bpf/verifier.ts';
import { BpfProgram } from './bpf/program.ts';
import { convertClassic } from './bpf/classic.ts';
import { AUTOMQ, CPU } from './steering.ts';
import { RssSteering, readVnetHash } from './steering-rss.ts';
import { attachFile, detachDisabled, requestFlags, setIff } from './tun-attach.ts';
import type { TunDevice } from './tun-device.ts';
import type { TunDriver } from './tun-driver.ts';
import type { TunFile } from './tun-file.ts';
import * as U from './uapi.ts';
import { TUN_IOCTLS as R } from './uapi.ts';
import type { TunIoctlName } from './uapi.ts';

export type IoctlArgument = number | Uint8Array | null;

/** SIOCGIFHWADDR and SIOCSIFHWADDR: the MAC address of a device. */
const SIOCGIFHWADDR = 0x8927;
const SIOCSIFHWADDR = 0x8924;
const ARPHRD_ETHER = 1;
const ARPHRD_NONE = 0xfffe;

/** Answers 0 (or a positive value), or −errno. */
export function runIoctl(
  driver: TunDriver,
  file: TunFile,
  request: number | string,
  argument: IoctlArgument,
): number {
  const number = typeof request === 'string' ? numberOf(request) : request >>> 0;
  const takesIfreq = number === R.TUNSETIFF || number === R.TUNSETQUEUE || number >>> 8 === 0x89;
  if (takesIfreq && !isMemory(argument, U.IFREQ_BYTES)) return -EFAULT;
  if (number === R.TUNGETFEATURES)
    return putInt(argument, U.TUN_FEATURES | U.IFF_TUN | U.IFF_TAP | U.IFF_NO_CARRIER);
  if (number === R.TUNSETQUEUE) return setQueue(file, argument as Uint8Array);
  if (number === R.TUNSETIFF)
    return file.tun !== null ? -EEXIST : setIff(driver, file, argument as Uint8Array);
  if (number === R.TUNSETIFINDEX) return setIfindex(file, argument);
  const { tun } = file;
  if (tun === null) return -EBADFD;
  return (
    settings(tun, number, argument) ??
    memorySettings(tun, file, number, argument) ??
    headers(tun, number, argument) ??
    steering(driver, tun, number, argument) ??
    link(driver, tun, file, number, argument) ??
    -EINVAL
  );
}

function numberOf(name: string): number {
  return name in R ? R[name as TunIoctlName] : 0;
}

function isMemory(argument: IoctlArgument, lenBytes: number): argument is Uint8Array {
  return argument instanceof Uint8Array && argument.length >= lenBytes;
}

function getInt(argument: IoctlArgument): number | null {
  if (!isMemory(argument, 4)) return null;
  return new DataView(argument.buffer, argument.byteOffset, 4).getInt32(0, true);
}

function putInt(argument: IoctlArgument, value: number): number {
  if (!isMemory(argument, 4)) return -EFAULT;
  new DataView(argument.buffer, argument.byteOffset, 4).setInt32(0, value, true);
  return 0;
}

/** A request that takes a number: an address given instead is a number that is not 0. */
function valueOf(argument: IoctlArgument): number {
  return typeof argument === 'number' ? argument : argument === null ? 0 : 1;
}

function setQueue(file: TunFile, ifreq: Uint8Array): number {
  const flags = requestFlags(ifreq);
  if ((flags & U.IFF_ATTACH_QUEUE) !== 0) return file.detached ? attachFile(file) : -EINVAL;
  if ((flags & U.IFF_DETACH_QUEUE) !== 0) return detachDisabled(file);
  return -EINVAL;
}

function setIfindex(file: TunFile, argument: IoctlArgument): number {
  if (file.tun !== null) return -EPERM;
  const ifindex = getInt(argument);
  if (ifindex === null) return -EFAULT;
  if (ifindex < 0) return -EINVAL;
  file.ifindex = ifindex;
  return 0;
}

/** Requests that take a number; null for others. */
function settings(tun: TunDevice, number: number, argument: IoctlArgument): number | null {
  const value = valueOf(argument);
  switch (number) {
    case R.TUNSETNOCSUM:
    case R.TUNSETDEBUG:
      return 0;
    case R.TUNSETPERSIST:
      if (value !== 0) tun.flags |= U.IFF_PERSIST;
      else tun.flags &= ~U.IFF_PERSIST;
      return 0;
    case R.TUNSETOWNER:
    case R.TUNSETGROUP:
      if (value === -1 || value === 0xffff_ffff) return -EINVAL;
      if (number === R.TUNSETOWNER) tun.owner = value;
      else tun.group = value;
      return 0;
    case R.TUNSETLINK:
      // The link type changes nothing here; what matters is when it may.
      return tun.dev.isUp ? -EBUSY : 0;
    case R.TUNSETOFFLOAD:
      if ((value & ~U.TUN_OFFLOADS) !== 0) return -EINVAL;
      tun.offloads = value;
      return 0;
    default:
      return null;
  }
}

/** Interface name and flags, send buffer and vnet header size. */
function memorySettings(
  tun: TunDevice,
  file: TunFile,
  number: number,
  argument: IoctlArgument,
): number | null {
  switch (number) {
    case R.TUNGETIFF:
      return getIff(tun, file, argument);
    case R.TUNGETSNDBUF:
      return putInt(argument, file.sndbufBytes);
    case R.TUNSETSNDBUF: {
      const bytes = getInt(argument);
      if (bytes === null) return -EFAULT;
      if (bytes <= 0) return -EINVAL;
      tun.sndbufBytes = bytes;
      for (const queue of tun.queues) queue.sndbufBytes = bytes;
      return 0;
    }
    case R.TUNSETCARRIER: {
      const on = getInt(argument);
      if (on === null) return -EFAULT;
      if (on !== 0 && tun.numqueues === 0) return -EPERM;
      if (on !== 0) tun.kernel.netif_carrier_on(tun.dev);
      else tun.kernel.netif_carrier_off(tun.dev);
      return 0;
    }
    default:
      return null;
  }
}

function getIff(tun: TunDevice, file: TunFile, argument: IoctlArgument): number {
  if (!isMemory(argument, U.IFREQ_BYTES)) return -EFAULT;
  writeName(argument, tun.dev.name);
  let flags = tun.flags & ~U.IFF_NOFILTER;
  // The two bits are one: set without packet information or without socket filter.
  if ((tun.flags & U.IFF_NO_PI) !== 0 || file.socketFilter === null) flags |= U.IFF_NOFILTER;
  if (file.detached) flags |= U.IFF_DETACH_QUEUE;
  argument[U.IFNAMSIZ] = flags & 0xff;
  argument[U.IFNAMSIZ + 1] = flags >> 8;
  return 0;
}

function writeName(ifreq: Uint8Array, name: string): void {
  ifreq.fill(0, 0, U.IFNAMSIZ);
  for (let i = 0; i < name.length; i++) ifreq[i] = name.charCodeAt(i);
}

/** Size and byte order of vnet headers. */
function headers(tun: TunDevice, number: number, argument: IoctlArgument): number | null {
  switch (number) {
    case R.TUNGETVNETHDRSZ:
      return putInt(argument, tun.vnetHeaderBytes);
    case R.TUNSETVNETHDRSZ: {
      const bytes = getInt(argument);
      if (bytes === null) return -EFAULT;
      if (bytes < U.VNET_HDR_BYTES) return -EINVAL;
      tun.vnetHeaderBytes = bytes;
      return 0;
    }
    case R.TUNGETVNETLE:
      return putInt(argument, tun.vnetLittleEndian ? 1 : 0);
    case R.TUNSETVNETLE: {
      const on = getInt(argument);
      if (on === null) return -EFAULT;
      tun.vnetLittleEndian = on !== 0;
      return 0;
    }
    default:
      // Big-endian headers need a kernel with CONFIG_TUN_VNET_CROSS_LE: EINVAL, as everything unknown.
      return null;
  }
}

/** Policies, programs and filters. */
function steering(
  driver: TunDriver,
  tun: TunDevice,
  number: number,
  argument: IoctlArgument,
): number | null {
  switch (number) {
    case R.TUNSETSTEERINGEBPF:
    case R.TUNSETFILTEREBPF:
      return setProgram(driver, tun, number === R.TUNSETSTEERINGEBPF, argument);
    case R.TUNSETSTEERING:
      return setSteering(tun, argument);
    case R.TUNGETSTEERING:
      return putInt(argument, steeringValue(tun));
    case R.TUNGETSTEERINGFEATURES:
      return putInt(argument, U.TUN_STEERING_FEATURES);
    case R.TUNGETVNETHASHCAP:
      if (!isMemory(argument, 8)) return -EFAULT;
      argument.fill(0, 0, 8);
      argument[0] = U.TUN_VNET_HASH_REPORT | U.TUN_VNET_HASH_RSS;
      argument[4] = U.HASH_TYPES_ALL;
      return 0;
    case R.TUNSETVNETHASH:
      return setVnetHash(tun, argument);
    default:
      return null;
  }
}

function setProgram(
  driver: TunDriver,
  tun: TunDevice,
  isSteering: boolean,
  argument: IoctlArgument,
): number {
  const fd = getInt(argument);
  if (fd === null) return -EFAULT;
  const program = fd === -1 ? null : driver.programOf(fd);
  if (typeof program === 'number') return program;
  if (isSteering) tun.steeringProgram = program;
  else tun.filterProgram = program;
  return 0;
}

/** RFC: an unknown value, or several, leave the policy as it is. */
function setSteering(tun: TunDevice, argument: IoctlArgument): number {
  const value = getInt(argument);
  if (value === null) return -EFAULT;
  if (value !== U.TUN_STEERING_AUTOMQ && value !== U.TUN_STEERING_CPU) return -EINVAL;
  tun.policy = value === U.TUN_STEERING_CPU ? CPU : AUTOMQ;
  return 0;
}

function steeringValue(tun: TunDevice): number {
  if (tun.policy.name === 'rss') return U.TUN_STEERING_RSS;
  return tun.policy.name === 'cpu' ? U.TUN_STEERING_CPU : U.TUN_STEERING_AUTOMQ;
}

function setVnetHash(tun: TunDevice, argument: IoctlArgument): number {
  if (!(argument instanceof Uint8Array)) return -EFAULT;
  const request = readVnetHash(argument);
  if (request === null) return -EFAULT;
  if (request === 'invalid') return -EINVAL;
  if (tun.steeringProgram !== null) return -EBUSY;
  const reports = (request.flags & U.TUN_VNET_HASH_REPORT) !== 0;
  if (reports && tun.vnetHeaderBytes < U.VNET_HDR_HASH_BYTES) return -EINVAL;
  tun.policy = (request.flags & U.TUN_VNET_HASH_RSS) !== 0 ? new RssSteering(request) : AUTOMQ;
  return 0;
}

/** Address filters, socket filters, the MAC address and the namespace. */
function link(
  driver: TunDriver,
  tun: TunDevice,
  file: TunFile,
  number: number,
  argument: IoctlArgument,
): number | null {
  switch (number) {
    case R.TUNSETTXFILTER: {
      if (!tun.isTap) return -EINVAL;
      const exact = argument instanceof Uint8Array ? tun.txFilter.set(argument) : -1;
      return exact < 0 ? -EFAULT : exact;
    }
    case R.TUNATTACHFILTER:
      return tun.isTap ? attachFilter(tun, argument) : -EINVAL;
    case R.TUNDETACHFILTER:
      if (!tun.isTap) return -EINVAL;
      for (const queue of tun.queues) queue.socketFilter = null;
      return 0;
    case R.TUNGETDEVNETNS:
      return file.credentials.netAdmin ? driver.openNetns() : -EPERM;
    case SIOCGIFHWADDR:
      return getAddress(tun.dev, tun.isTap, argument as Uint8Array);
    case SIOCSIFHWADDR:
      return tun.kernel.dev_set_mac_address(
        tun.dev,
        (argument as Uint8Array).slice(U.IFNAMSIZ + 2, U.IFNAMSIZ + 8),
      );
    default:
      return null;
  }
}

/** A classic program on every attached queue. */
function attachFilter(tun: TunDevice, argument: IoctlArgument): number {
  if (!(argument instanceof Uint8Array)) return -EFAULT;
  const code = convertClassic(argument);
  const verified = code === null ? null : verify(code);
  if (verified === null || !isVerified(verified)) return -EINVAL;
  const program = new BpfProgram('socket_filter', verified);
  for (const queue of tun.queues) queue.socketFilter = program;
  return 0;
}

function getAddress(dev: NetDevice, isTap: boolean, ifreq: Uint8Array): number {
  const type = isTap ? ARPHRD_ETHER : ARPHRD_NONE;
  ifreq[U.IFNAMSIZ] = type & 0xff;
  ifreq[U.IFNAMSIZ + 1] = type >> 8;
  ifreq.set(dev.mac, U.IFNAMSIZ + 2);
  return 0;
}
