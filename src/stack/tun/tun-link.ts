// A tun device as `ip -d link` and `ip tuntap` show it (iproute2 6.1, recorded).

import type { LinkKind } from '../link-kind.ts';
import type { Answer } from '../answer.ts';
import type { TunDevice } from './tun-device.ts';
import * as U from './uapi.ts';

export function tunLinkKind(tun: TunDevice, remove: () => Answer): LinkKind {
  return {
    kind: 'tun',
    linkType: tun.isTap ? 'ether' : 'none',
    text: () => detailLine(tun),
    json: () => detailJson(tun),
    remove,
  };
}

function has(tun: TunDevice, flag: number): boolean {
  return (tun.flags & flag) !== 0;
}

function onOff(on: boolean): string {
  return on ? 'on' : 'off';
}

function detailLine(tun: TunDevice): string {
  let line =
    `tun type ${tun.isTap ? 'tap' : 'tun'} pi ${onOff(!has(tun, U.IFF_NO_PI))} ` +
    `vnet_hdr ${onOff(has(tun, U.IFF_VNET_HDR))} `;
  if (tun.isMultiQueue)
    line += `multi_queue numqueues ${tun.numqueues} numdisabled ${tun.disabled.length} `;
  line += `persist ${onOff(has(tun, U.IFF_PERSIST))} `;
  if (tun.owner >= 0) line += `user ${userName(tun.owner)} `;
  if (tun.group >= 0) line += `group ${userName(tun.group)} `;
  return line;
}

function detailJson(tun: TunDevice): Record<string, unknown> {
  return {
    type: tun.isTap ? 'tap' : 'tun',
    pi: !has(tun, U.IFF_NO_PI),
    vnet_hdr: has(tun, U.IFF_VNET_HDR),
    ...(tun.isMultiQueue
      ? { multi_queue: true, numqueues: tun.numqueues, numdisabled: tun.disabled.length }
      : {}),
    persist: has(tun, U.IFF_PERSIST),
    ...(tun.owner >= 0 ? { user: userName(tun.owner) } : {}),
    ...(tun.group >= 0 ? { group: userName(tun.group) } : {}),
  };
}

/** The machine knows root by name. */
function userName(id: number): string {
  return id === 0 ? 'root' : String(id);
}

/** Words of `ip tuntap`: kind and flags. */
export function tunFlagWords(tun: TunDevice): string[] {
  const words = [tun.isTap ? 'tap' : 'tun'];
  if (!has(tun, U.IFF_NO_PI)) words.push('pi');
  if (has(tun, U.IFF_ONE_QUEUE)) words.push('one_queue');
  if (has(tun, U.IFF_VNET_HDR)) words.push('vnet_hdr');
  if (tun.isMultiQueue) words.push('multi_queue');
  if (has(tun, U.IFF_PERSIST)) words.push('persist');
  return words;
}
