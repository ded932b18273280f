// What the firmware checks before it touches the staged tables: action lists against stage, table, ports, groups and meters.
// Pure functions of the pipeline; a refusal is a Detail and the thing it is about (admin/format.ts).

import { Detail } from '../admin/format.ts';
import {
  ACTION_KINDS,
  actionBit,
  ActionKind,
  isTerminal,
  ITEM_WORDS,
  MeterVerdict,
  TO_HOST_PORT,
  WRITABLE,
  wordsWritten,
} from './actions.ts';
import { ETH_HEADER_BYTES } from '../wire/headers.ts';
import { PHV_WORDS } from './phv.ts';
import type { SwitchPipeline } from './pipeline.ts';

/** A refusal; Detail.NONE: none. */
export interface Check {
  detail: Detail;
  what: number;
}

export const FINE: Check = { detail: Detail.NONE, what: 0 };

/** What an action list is checked against. */
export interface ListContext {
  pipeline: SwitchPipeline;
  ports: number;
  queues: number;
  stage: number;
  /** PHV words that may be written, as bits; 0: any. */
  writes: number;
}

/** Kinds that a bucket of a group may have. */
const BUCKET_KINDS =
  actionBit(ActionKind.OUTPUT) |
  actionBit(ActionKind.DROP) |
  actionBit(ActionKind.TRAP) |
  actionBit(ActionKind.SET) |
  actionBit(ActionKind.DEC_TTL) |
  actionBit(ActionKind.PUSH_VLAN) |
  actionBit(ActionKind.POP_VLAN) |
  actionBit(ActionKind.QUEUE) |
  actionBit(ActionKind.MARK);

/** Checks an entry's or default action list. */
export function checkList(items: Uint32Array, context: ListContext): Check {
  const { maxItems, actions } = context.pipeline.config.stages[context.stage];
  const count = items.length / ITEM_WORDS;
  if (count > maxItems) return { detail: Detail.TOO_MANY_ACTIONS, what: count };
  for (let at = 0; at < items.length; at += ITEM_WORDS) {
    const kind = items[at] & 0xff;
    if (kind === 0 || kind >= ACTION_KINDS || (actions & actionBit(kind)) === 0)
      return { detail: Detail.ACTION_NOT_SUPPORTED, what: kind };
    // A list ends at its terminal item: what came after it would never run.
    if (isTerminal(kind) && at + ITEM_WORDS < items.length)
      return { detail: Detail.ACTION_ARGUMENT, what: kind };
    const check = checkItem(kind, items, at, context);
    if (check.detail !== Detail.NONE) return check;
  }
  const undeclared = context.writes === 0 ? 0 : wordsWritten(items) & ~context.writes;
  if (undeclared !== 0)
    return { detail: Detail.ACTION_FIELD, what: 31 - Math.clz32(undeclared & -undeclared) };
  return FINE;
}

/** Checks one bucket of a group: a list that ends by itself, of kinds that a bucket may have. */
export function checkBucket(items: Uint32Array, context: Omit<ListContext, 'stage'>): Check {
  for (let at = 0; at < items.length; at += ITEM_WORDS) {
    const kind = items[at] & 0xff;
    if (kind >= ACTION_KINDS || (BUCKET_KINDS & actionBit(kind)) === 0)
      return { detail: Detail.ACTION_NOT_SUPPORTED, what: kind };
    const isLast = at + ITEM_WORDS === items.length;
    if (isTerminal(kind) !== isLast) return { detail: Detail.ACTION_ARGUMENT, what: kind };
    const check = checkItem(kind, items, at, { ...context, stage: 0 });
    if (check.detail !== Detail.NONE) return check;
  }
  return items.length === 0 ? { detail: Detail.GROUP_BUCKETS, what: 0 } : FINE;
}

function checkItem(kind: number, items: Uint32Array, at: number, context: ListContext): Check {
  const { pipeline, ports, queues } = context;
  const [, w1, w2, w3] = items.subarray(at, at + ITEM_WORDS);
  const wrong = (isWrong: boolean): Check =>
    isWrong ? { detail: Detail.ACTION_ARGUMENT, what: kind } : FINE;
  switch (kind) {
    case ActionKind.OUTPUT:
      return w1 >= ports ? { detail: Detail.ACTION_PORT, what: w1 } : FINE;
    case ActionKind.MIRROR:
      return w1 >= ports && w1 !== TO_HOST_PORT ? { detail: Detail.ACTION_PORT, what: w1 } : FINE;
    case ActionKind.SAMPLE:
      if (w3 >= ports && w3 !== TO_HOST_PORT) return { detail: Detail.ACTION_PORT, what: w3 };
      return wrong(w1 === 0 || (w2 !== 0 && w2 < ETH_HEADER_BYTES));
    case ActionKind.GOTO:
      return checkGoto(w1, context);
    case ActionKind.GROUP:
      return pipeline.groups.get(w1) === null ? { detail: Detail.NO_SUCH_GROUP, what: w1 } : FINE;
    case ActionKind.METER:
      if (pipeline.isMeterSet[w1] !== 1) return { detail: Detail.NO_SUCH_METER, what: w1 };
      return wrong(w2 > MeterVerdict.TRAP || w3 > MeterVerdict.TRAP);
    case ActionKind.SET:
      if (w1 >= PHV_WORDS || (w3 & ~WRITABLE[w1]) !== 0)
        return { detail: Detail.ACTION_FIELD, what: w1 };
      return FINE;
    case ActionKind.PUSH_VLAN:
      return wrong(w1 > 0xffff || (w2 !== 0x8100 && w2 !== 0x88a8));
    case ActionKind.QUEUE:
      return w1 >= queues ? { detail: Detail.ACTION_QUEUE, what: w1 } : FINE;
    default:
      return FINE;
  }
}

function checkGoto(target: number, { pipeline, stage }: ListContext): Check {
  const table = pipeline.tables[target] ?? null;
  if (table === null) return { detail: Detail.NO_SUCH_TABLE, what: target };
  return table.config.stage <= stage ? { detail: Detail.GOTO_BACKWARDS, what: target } : FINE;
}
