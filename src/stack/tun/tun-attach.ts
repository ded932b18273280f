// TUNSETIFF and TUNSETQUEUE: a file becomes a queue of a device that exists or is made, is disabled and enabled again
// (drivers/net/tun.c tun_set_iff, tun_set_queue). The order of the checks is Linux's (spec A.5.1, A.5.3).

import { EBUSY, EEXIST, EINVAL, EPERM } from '../../../driver/errno.ts';
import type { TunDevice } from './tun-device.ts';
import type { TunDriver } from './tun-driver.ts';
import type { Credentials, TunFile } from './tun-file.ts';
import * as U from './uapi.ts';

/** ifr_flags of a struct ifreq. */
export function requestFlags(ifreq: Uint8Array): number {
  return ifreq[U.IFNAMSIZ] | (ifreq[U.IFNAMSIZ + 1] << 8);
}

/** A struct ifreq with name and flags, for callers that have them as values. */
export function makeIfreq(name: string, flags: number): Uint8Array {
  const ifreq = new Uint8Array(U.IFREQ_BYTES);
  for (let i = 0; i < Math.min(name.length, U.IFNAMSIZ - 1); i++) ifreq[i] = name.charCodeAt(i);
  ifreq[U.IFNAMSIZ] = flags & 0xff;
  ifreq[U.IFNAMSIZ + 1] = (flags >> 8) & 0xff;
  return ifreq;
}

/** ifr_name of a struct ifreq. */
export function requestName(ifreq: Uint8Array): string {
  let name = '';
  for (let i = 0; i < U.IFNAMSIZ - 1 && ifreq[i] !== 0; i++) name += String.fromCharCode(ifreq[i]);
  return name;
}

/** TUNSETIFF on a file without device: 0 with the name written back, or −errno. */
export function setIff(driver: TunDriver, file: TunFile, ifreq: Uint8Array): number {
  const flags = requestFlags(ifreq);
  const name = requestName(ifreq);
  if ((flags & U.IFF_NAPI_FRAGS) !== 0) {
    if (!file.credentials.netAdmin) return -EPERM;
    const isTap = (flags & (U.IFF_TUN | U.IFF_TAP)) === U.IFF_TAP;
    if ((flags & U.IFF_NAPI) === 0 || !isTap) return -EINVAL;
  }
  const dev = name === '' ? null : driver.deviceByName(name);
  let tun: TunDevice;
  if (dev !== null) {
    if ((flags & U.IFF_TUN_EXCL) !== 0) return -EBUSY;
    const known = driver.deviceOf(dev);
    if (known === null) return -EINVAL;
    const error = join(known, file, flags);
    if (error !== 0) return error;
    tun = known;
    if (tun.isMultiQueue && tun.numqueues + tun.disabled.length > 1) {
      writeBack(ifreq, tun.dev.name);
      return 0;
    }
    tun.flags = (tun.flags & ~U.TUN_FEATURES) | (flags & U.TUN_FEATURES);
  } else {
    const made = create(driver, file, name, flags);
    if (typeof made === 'number') return made;
    tun = made;
  }
  if ((flags & U.IFF_NO_CARRIER) !== 0) driver.kernel.netif_carrier_off(tun.dev);
  else driver.kernel.netif_carrier_on(tun.dev);
  writeBack(ifreq, tun.dev.name);
  return 0;
}

/** Another queue of a device that exists. */
function join(tun: TunDevice, file: TunFile, flags: number): number {
  const kind = tun.isTap ? U.IFF_TAP : U.IFF_TUN;
  if ((flags & kind) === 0) return -EINVAL;
  if (((flags ^ tun.flags) & U.IFF_MULTI_QUEUE) !== 0) return -EINVAL;
  if (!mayUse(tun, file.credentials)) return -EPERM;
  return tun.attach(file);
}

function create(driver: TunDriver, file: TunFile, name: string, flags: number): TunDevice | number {
  if (!file.credentials.netAdmin) return -EPERM;
  const kind = (flags & U.IFF_TUN) !== 0 ? U.IFF_TUN : flags & U.IFF_TAP;
  if (kind === 0) return -EINVAL;
  const template = kind === U.IFF_TUN ? 'tun%d' : 'tap%d';
  const kept = kind | (flags & U.TUN_FEATURES);
  const tun = driver.create(name === '' ? template : name, kept, file.ifindex);
  // A taken ifindex is reported as busy, a taken name was found before.
  if (typeof tun === 'number') return tun === -EEXIST ? -EBUSY : tun;
  const error = tun.attach(file);
  if (error === 0) return tun;
  driver.remove(tun);
  return error;
}

/** Owner and group, when set, must both match; CAP_NET_ADMIN may always. */
function mayUse(tun: TunDevice, who: Credentials): boolean {
  const wrongOwner = tun.owner !== -1 && tun.owner !== who.uid;
  const wrongGroup = tun.group !== -1 && tun.group !== who.gid;
  return who.netAdmin || (!wrongOwner && !wrongGroup);
}

function writeBack(ifreq: Uint8Array, name: string): void {
  ifreq.fill(0, 0, U.IFNAMSIZ);
  for (let i = 0; i < name.length; i++) ifreq[i] = name.charCodeAt(i);
}

/** IFF_ATTACH_QUEUE on a disabled queue: it becomes the last one. */
export function attachFile(file: TunFile): number {
  return file.tun === null ? -EINVAL : file.tun.attach(file);
}

/** IFF_DETACH_QUEUE. */
export function detachDisabled(file: TunFile): number {
  const { tun } = file;
  if (tun === null || !tun.isMultiQueue || file.detached) return -EINVAL;
  tun.disable(file);
  return 0;
}
