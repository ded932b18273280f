// `bridge vlan`: VLANs of ports and of bridges themselves, shown and changed.

import type { NetDevice } from '../../../../driver/netdev.ts';
import type { VlanGroup } from '../../../stack/bridge/vlan-group.ts';
import type { NetStack } from '../../../stack/net-stack.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { IpError, deviceOf, jsonText } from '../ip-common.ts';
import type { Words } from '../ip-common.ts';

const VLAN_ID_MAX = 4094;
const NAME_COLUMNS = 17;

/** The VLANs of one device. */
interface Row {
  dev: NetDevice;
  group: VlanGroup;
  ids: readonly number[];
}

/** `bridge vlan show [dev DEV] [vid N]`. */
export function showVlans(words: Words, stack: NetStack, json: boolean): CommandResult {
  let only: NetDevice | null = null;
  let vlanId = 0;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dev') only = deviceOf(stack, words.next());
    else if (word === 'vid') vlanId = Number(words.next());
  }
  const bridges = stack.bridges.list();
  const groups = [
    ...bridges.flatMap(({ ports }) => ports.map(({ dev, vlans }) => ({ dev, group: vlans }))),
    ...bridges.map(({ dev, vlans }) => ({ dev, group: vlans })),
  ];
  const rows = groups
    .filter(({ dev }) => only === null || dev === only)
    .map(({ dev, group }): Row => {
      const ids = group.list().filter((id) => vlanId === 0 || id === vlanId);
      return { dev, group, ids };
    })
    .filter(({ ids }) => ids.length > 0);
  if (json) return ok(jsonText(rows.map(rowJson)));
  return ok(`${'port'.padEnd(NAME_COLUMNS)} vlan-id  \n${rows.map(rowText).join('')}`);
}

function flags(group: VlanGroup, id: number): string[] {
  return [
    ...(group.pvid === id ? ['PVID'] : []),
    ...(group.isUntagged(id) ? ['Egress Untagged'] : []),
  ];
}

function rowText({ dev, group, ids }: Row): string {
  return ids
    .map((id, i) => {
      const words = flags(group, id).map((word) => ` ${word}`);
      return `${(i === 0 ? dev.name : '').padEnd(NAME_COLUMNS)} ${id}${words.join('')}\n`;
    })
    .join('');
}

function rowJson({ dev, group, ids }: Row): Record<string, unknown> {
  return {
    ifname: dev.name,
    vlans: ids.map((id) => {
      const words = flags(group, id);
      return words.length === 0 ? { vlan: id } : { vlan: id, flags: words };
    }),
  };
}

/** `bridge vlan add|del vid N[-M] dev DEV [pvid] [untagged] [self]`; the real one passes over other words, too. */
export function changeVlans(words: Words, stack: NetStack, adds: boolean): CommandResult {
  let range: string[] = [];
  let device = '';
  let isPvid = false;
  let isUntagged = false;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'vid') range = words.next().split('-');
    else if (word === 'dev') device = words.next();
    else if (word === 'pvid') isPvid = true;
    else if (word === 'untagged') isUntagged = true;
  }
  if (device === '' || range.length === 0)
    throw new IpError(255, 'Device and VLAN ID are required arguments.');
  const dev = deviceOf(stack, device);
  const [first, last = first] = range.map(Number);
  if (range.length > 1 && !(first < last))
    throw new IpError(255, `Invalid VLAN range "${range.join('-')}"`);
  if (isPvid && range.length > 1)
    throw new IpError(255, 'pvid cannot be configured for a vlan range');
  if (!(first >= 1 && last <= VLAN_ID_MAX))
    throw new IpError(255, 'Error: bridge: Vlan id is invalid.');
  const port = stack.bridges.portOf(dev);
  const bridge = port?.bridge ?? stack.bridges.bridgeOf(dev);
  if (bridge === null) return failed(255, 'RTNETLINK answers: Operation not supported\n');
  const { vlans } = port ?? bridge;
  for (let id = first; id <= last; id++)
    if (adds) vlans.add(id, isPvid, isUntagged);
    else if (!vlans.remove(id))
      return failed(255, 'RTNETLINK answers: No such file or directory\n');
  bridge.follow();
  return ok();
}
