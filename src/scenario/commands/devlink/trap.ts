// devlink trap: show and set, trap group show and set, trap policer show and set. Output as recorded from iproute2 6.1.0.
//
// Left out: metadata (-v), counters of groups, counters of policers, groups' actions.

import type {
  Devlink,
  DevlinkTrap,
  DevlinkTrapGroup,
  DevlinkTrapPolicer,
} from '../../../../driver/devlink.ts';
import { setTrapAction, setTrapPolicer } from '../../../../driver/devlink-core.ts';
import { ENOENT } from '../../../../driver/errno.ts';
import { ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import type { JsonNode } from '../json-text.ts';
import { DevlinkUsageError, answered, hasHandle, listing, noDevice, numberOf } from './args.ts';
import { object, refused, takeDevlink, takeOptions } from './args.ts';
import type { DevlinkCall, DevlinkFlags, Entry, ScalarField } from './args.ts';

const TRAP = { name: 'trap', missing: "Trap's name is expected." };
const GROUP = { name: 'group', missing: "Trap group's name is expected." };
const POLICER = { name: 'policer' };

/** A kind of thing that an instance has a list of. */
interface Kind<T> {
  option: { name: string; missing?: string };
  list: (devlink: Devlink) => readonly T[];
  isNamed: (item: T, name: string) => boolean;
  item: (item: T, devlink: Devlink, flags: DevlinkFlags) => { text: string; node: JsonNode };
}

const TRAPS: Kind<DevlinkTrap> = {
  option: TRAP,
  list: ({ traps }) => traps,
  isNamed: (trap, name) => trap.name === name,
  item: trapItem,
};
const GROUPS: Kind<DevlinkTrapGroup> = {
  option: GROUP,
  list: ({ trapGroups }) => trapGroups,
  isNamed: (group, name) => group.name === name,
  item: groupItem,
};
const POLICERS: Kind<DevlinkTrapPolicer> = {
  option: POLICER,
  list: ({ trapPolicers }) => trapPolicers,
  isNamed: (policer, name) => policer.id === numberOf(name),
  item: policerItem,
};

export function runTrap(call: DevlinkCall): CommandResult {
  const word = call.words.shift() ?? 'show';
  if ('show'.startsWith(word) || word === 'list') return show(call, TRAPS);
  if ('set'.startsWith(word)) return setTrap(call);
  if ('group'.startsWith(word)) return sub(call, GROUPS, setGroup);
  if ('policer'.startsWith(word)) return sub(call, POLICERS, setPolicer);
  throw new DevlinkUsageError(`Command "${word}" not found\n`);
}

function sub<T>(
  call: DevlinkCall,
  kind: Kind<T>,
  set: (call: DevlinkCall) => CommandResult,
): CommandResult {
  const word = call.words.shift() ?? 'show';
  if ('show'.startsWith(word) || word === 'list') return show(call, kind);
  if ('set'.startsWith(word)) return set(call);
  throw new DevlinkUsageError(`Command "${word}" not found\n`);
}

function show<T>(call: DevlinkCall, kind: Kind<T>): CommandResult {
  const entry = (devlink: Devlink, items: readonly T[]): Entry => {
    const shown = items.map((one) => kind.item(one, devlink, call.flags));
    return {
      handle: devlink.handle,
      text: `${devlink.handle}:\n${shown.map(({ text }) => text).join('')}`,
      node: { items: shown.map(({ node }) => node) },
    };
  };
  const section = kind.option.name === 'trap' ? 'trap' : `trap_${kind.option.name}`;
  if (!hasHandle(call.words)) {
    const devices = call.devlinks.all().filter((one) => kind.list(one).length > 0);
    return listing(
      call.flags,
      section,
      devices.map((devlink) => entry(devlink, kind.list(devlink))),
    );
  }
  const devlink = takeDevlink(call);
  const name = takeOptions(call.words, [kind.option]).get(kind.option.name) ?? '0';
  if (devlink === null) return noDevice();
  const found = find(devlink, kind, name);
  if ('status' in found) return found;
  return listing(call.flags, section, [entry(devlink, [found.item])]);
}

function find<T>(devlink: Devlink, kind: Kind<T>, name: string): { item: T } | CommandResult {
  const item = kind.list(devlink).find((one) => kind.isNamed(one, name));
  if (item !== undefined) return { item };
  const what = kind.option.name === 'trap' ? 'trap' : `trap ${kind.option.name}`;
  const message = `devlink: Device did not register this ${what}`;
  return refused(ENOENT, { message, reason: 'unknown' });
}

function trapItem(
  trap: DevlinkTrap,
  devlink: Devlink,
  { stats }: DevlinkFlags,
): { text: string; node: JsonNode } {
  // The message carries the counters whether they are shown or not: the driver is asked each time.
  const dropped = devlink.ops.trapDropped?.(trap);
  const { name, type, isGeneric, action, group } = trap;
  let text = `  name ${name} type ${type} generic ${isGeneric} action ${action} group ${group}\n`;
  const fields: [string, JsonNode][] = [
    ['name', name],
    ['type', type],
    ['generic', isGeneric],
    ['action', action],
    ['group', group],
  ];
  if (stats) {
    const counters: ScalarField[] = [
      ['bytes', trap.rxBytes],
      ['packets', trap.rxPackets],
    ];
    if (dropped !== undefined) counters.push(['dropped', dropped]);
    const words = counters.map(([key, value]) => `${key} ${String(value)}`).join(' ');
    text += `    stats:\n        rx:\n          ${words}\n`;
    fields.push(['stats', object(['rx', { fields: counters }])]);
  }
  return { text, node: { fields } };
}

function groupItem({ name, policer }: DevlinkTrapGroup): { text: string; node: JsonNode } {
  const fields: ScalarField[] = [
    ['name', name],
    ['generic', true],
  ];
  if (policer !== 0) fields.push(['policer', policer]);
  return { text: line(fields), node: { fields } };
}

function policerItem({ id, rate, burst }: DevlinkTrapPolicer): { text: string; node: JsonNode } {
  const fields: ScalarField[] = [
    ['policer', id],
    ['rate', rate],
    ['burst', burst],
  ];
  return { text: line(fields), node: { fields } };
}

function line(fields: readonly ScalarField[]): string {
  return `  ${fields.map(([name, value]) => `${name} ${String(value)}`).join(' ')}\n`;
}

function setTrap(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const values = takeOptions(call.words, [TRAP, { name: 'action' }]);
  const action = values.get('action');
  if (action !== undefined && action !== 'trap' && action !== 'drop' && action !== 'mirror')
    throw new DevlinkUsageError(`Unknown trap action "${action}"\n`);
  if (devlink === null) return noDevice();
  const found = find(devlink, TRAPS, values.get('trap') ?? '');
  if ('status' in found) return found;
  const extack = { message: '', reason: '' };
  const error = action === undefined ? 0 : setTrapAction(found.item, action, extack);
  return answered(error, extack);
}

function setGroup(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const values = takeOptions(call.words, [GROUP, { name: 'policer' }, { name: 'nopolicer' }]);
  const policer = values.get('policer');
  if (devlink === null) return noDevice();
  const found = find(devlink, GROUPS, values.get('group') ?? '');
  if ('status' in found) return found;
  if (policer === undefined) return ok();
  const known = find(devlink, POLICERS, policer);
  if ('status' in known) return known;
  found.item.policer = known.item.id;
  return ok();
}

function setPolicer(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const values = takeOptions(call.words, [POLICER, { name: 'rate' }, { name: 'burst' }]);
  const [rate, burst] = ['rate', 'burst'].map((name) => {
    const text = values.get(name);
    return text === undefined ? undefined : numberOf(text);
  });
  if (devlink === null) return noDevice();
  const found = find(devlink, POLICERS, values.get('policer') ?? '0');
  if ('status' in found) return found;
  const { item } = found;
  const extack = { message: '', reason: '' };
  return answered(setTrapPolicer(item, rate ?? item.rate, burst ?? item.burst, extack), extack);
}
