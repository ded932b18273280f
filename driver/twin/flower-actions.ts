// A flow_rule's actions as an action list of the staged tables (hw/switch/actions.ts), or the action that they cannot do.
//
// Checksums follow every rewrite by themselves, so `csum` asks for nothing. A list that names no end leaves the tables: the
// packet goes on to the stack, as after tc's `pipe` at the end of a filter. What comes after an end is not reached and left out.

import type { TwinAdapter } from './adapter.ts';
import { portOf } from './flow-translate.ts';
import * as FR from '../flow-rule.ts';
import type { FlowActionEntry, FlowPolice, FlowRule } from '../flow-rule.ts';
import { ActionKind, MeterVerdict, TO_HOST_PORT } from '../../hw/switch/actions.ts';
import * as P from '../../hw/switch/phv.ts';
import { ETH_HEADER_BYTES } from '../../hw/wire/headers.ts';

/** One item: kind and arguments; `high` are bits 31:16 of the first word. */
export interface Item {
  kind: number;
  args: readonly number[];
  high: number;
}

/** Why a list cannot be done: a reason of the documented list, and what it is about. */
export interface ListRefusal {
  reason: 'action-not-supported' | 'no-such-port' | 'action-argument';
  what: string;
}

/** Number of the meter of a policer; −1 when none is free. */
export type MeterOf = (police: FlowPolice) => number;

/** The list for a rule of `adapter`'s port. `counts`: with a counter. */
export function planActions(
  adapter: TwinAdapter,
  rule: FlowRule,
  meterOf: MeterOf,
): Item[] | ListRefusal {
  const items: Item[] = [];
  const isCounted = rule.actions.some(
    ({ hwStats }) => hwStats !== FR.FLOW_ACTION_HW_STATS_DISABLED,
  );
  if (isCounted || rule.actions.length === 0) items.push(item(ActionKind.COUNT));
  for (const action of rule.actions) {
    const added = planAction(adapter, action, meterOf);
    if ('reason' in added) return added;
    items.push(...added);
    const last = items[items.length - 1];
    if (last !== undefined && last.kind >= ActionKind.OUTPUT && last.kind <= ActionKind.GROUP)
      break;
  }
  return items;
}

function item(kind: number, ...args: number[]): Item {
  return { kind, args, high: 0 };
}

function planAction(
  adapter: TwinAdapter,
  action: FlowActionEntry,
  meterOf: MeterOf,
): Item[] | ListRefusal {
  const no: ListRefusal = {
    reason: 'action-not-supported',
    what: FR.FLOW_ACTION_NAMES[action.id] ?? String(action.id),
  };
  switch (action.id) {
    case FR.FLOW_ACTION_ACCEPT:
      return [item(ActionKind.PASS)];
    case FR.FLOW_ACTION_DROP:
      return [item(ActionKind.DROP)];
    case FR.FLOW_ACTION_TRAP:
      return [item(ActionKind.TRAP)];
    case FR.FLOW_ACTION_PIPE:
    case FR.FLOW_ACTION_CSUM:
      return [];
    case FR.FLOW_ACTION_GOTO:
      return [item(ActionKind.GOTO, action.chainIndex)];
    case FR.FLOW_ACTION_REDIRECT:
    case FR.FLOW_ACTION_MIRRED: {
      const port = portOf(adapter, action.dev);
      if (port < 0) return { reason: 'no-such-port', what: action.dev.name };
      const isEnd = action.id === FR.FLOW_ACTION_REDIRECT;
      return [item(isEnd ? ActionKind.OUTPUT : ActionKind.MIRROR, port)];
    }
    case FR.FLOW_ACTION_VLAN_PUSH:
      return [item(ActionKind.PUSH_VLAN, (action.prio << 13) | action.vid, action.proto)];
    case FR.FLOW_ACTION_VLAN_POP:
      return [item(ActionKind.POP_VLAN)];
    case FR.FLOW_ACTION_VLAN_MANGLE: {
      const tci = (action.prio << 13) | action.vid;
      return [item(ActionKind.SET, P.P_VLAN, (tci << 16) >>> 0, 0xefff0000)];
    }
    case FR.FLOW_ACTION_MANGLE:
      return planMangle(action.htype, action.offset, ~action.mask >>> 0, action.val >>> 0) ?? no;
    case FR.FLOW_ACTION_ADD:
      return isTtlDecrement(action.htype, action.offset, action.val)
        ? [item(ActionKind.DEC_TTL)]
        : no;
    case FR.FLOW_ACTION_MARK:
      return [item(ActionKind.MARK, action.mark >>> 0)];
    case FR.FLOW_ACTION_QUEUE:
      return [item(ActionKind.QUEUE, action.index)];
    case FR.FLOW_ACTION_SAMPLE: {
      const { rate, truncBytes, group } = action;
      const kept = truncBytes === 0 ? 0 : Math.max(truncBytes, ETH_HEADER_BYTES);
      if (group > 0xffff) return { reason: 'action-argument', what: `sample group ${group}` };
      const args = [rate, kept, TO_HOST_PORT];
      return [{ kind: ActionKind.SAMPLE, args, high: group }];
    }
    case FR.FLOW_ACTION_POLICE:
      return planPolice(action.police, meterOf);
    default:
      return no;
  }
}

/** A policer: a single-rate meter without excess, so packets are green or red. */
function planPolice(police: FlowPolice, meterOf: MeterOf): Item[] | ListRefusal {
  if (police.mtuBytes > 0) return { reason: 'action-argument', what: 'police mtu' };
  const verdicts: Readonly<Record<number, number>> = {
    [FR.FLOW_ACTION_DROP]: MeterVerdict.DROP,
    [FR.FLOW_ACTION_PIPE]: MeterVerdict.GO_ON,
    [FR.FLOW_ACTION_CONTINUE]: MeterVerdict.GO_ON,
    [FR.FLOW_ACTION_ACCEPT]: MeterVerdict.GO_ON,
    [FR.FLOW_ACTION_TRAP]: MeterVerdict.TRAP,
  };
  const exceed = verdicts[police.exceed];
  const conform = verdicts[police.notexceed];
  if (exceed === undefined || conform !== MeterVerdict.GO_ON)
    return { reason: 'action-argument', what: 'police verdict' };
  return [item(ActionKind.METER, meterOf(police), exceed, exceed)];
}

/** Four bytes of a header, bits of `mask` replaced, as writes of key words; null when a bit lies outside of what they have. */
function planMangle(htype: number, offset: number, mask: number, value: number): Item[] | null {
  const items: Item[] = [];
  if (offset % 4 !== 0) return null;
  let left = mask;
  /** Bits of the header word that lie at a place of a key word. */
  const take = (bits: number, word: number, shiftUp: number): void => {
    const part = (left & bits) >>> 0;
    if (part === 0) return;
    const move = (n: number): number => (shiftUp >= 0 ? n << shiftUp : n >>> -shiftUp) >>> 0;
    items.push(item(ActionKind.SET, word, move((value & part) >>> 0), move(part)));
    left = (left & ~bits) >>> 0;
  };
  switch (htype) {
    case FR.FLOW_ACT_MANGLE_HDR_TYPE_ETH:
      if (offset === 0) {
        take(0xffff0000, P.P_ETH_HI, 0);
        take(0x0000ffff, P.P_ETH_DST, 16);
      } else if (offset === 4) {
        take(0xffff0000, P.P_ETH_DST, -16);
        take(0x0000ffff, P.P_ETH_HI, 0);
      } else if (offset === 8) take(0xffffffff, P.P_ETH_SRC, 0);
      break;
    case FR.FLOW_ACT_MANGLE_HDR_TYPE_IP4:
      if (offset === 0) take(0x00ff0000, P.P_L3, 0);
      else if (offset === 8) take(0xff000000, P.P_L3, -16);
      else if (offset === 12) take(0xffffffff, P.P_SRC, 0);
      else if (offset === 16) take(0xffffffff, P.P_DST, 0);
      break;
    case FR.FLOW_ACT_MANGLE_HDR_TYPE_IP6:
      if (offset === 0) take(0x0ff00000, P.P_L3, -4);
      else if (offset === 4) take(0x000000ff, P.P_L3, 8);
      else if (offset >= 8 && offset < 24) take(0xffffffff, P.P_SRC + (offset - 8) / 4, 0);
      else if (offset >= 24 && offset < 40) take(0xffffffff, P.P_DST + (offset - 24) / 4, 0);
      break;
    case FR.FLOW_ACT_MANGLE_HDR_TYPE_TCP:
    case FR.FLOW_ACT_MANGLE_HDR_TYPE_UDP:
      if (offset === 0) take(0xffffffff, P.P_PORTS, 0);
      break;
    default:
      break;
  }
  return left === 0 ? items : null;
}

/** `pedit ex munge ip ttl dec` and its like: 255 is added to the byte. */
function isTtlDecrement(htype: number, offset: number, val: number): boolean {
  if (htype === FR.FLOW_ACT_MANGLE_HDR_TYPE_IP4) return offset === 8 && val >>> 24 === 0xff;
  return htype === FR.FLOW_ACT_MANGLE_HDR_TYPE_IP6 && offset === 4 && (val & 0xff) === 0xff;
}
