// Listings of tc(8): filters (text and JSON), qdiscs, chains, actions. Each filter that is listed first has its counters fetched from
// the drivers, as the kernel's dump does.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { TcActionInstance } from '../../stack/tc/action.ts';
import type { TcBlock, TcChain, TcFilter, TcProto } from '../../stack/tc/block.ts';
import type { TcQdisc } from '../../stack/tc/control.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { jsonText } from './json-text.ts';
import type { JsonNode } from './json-text.ts';
import { actionNode, actionText } from './tc-show-actions.ts';
import { filterNode, filterText, protocolName } from './tc-show.ts';
import type { ShowOptions } from './tc-show-common.ts';
import { TcUsageError } from './tc-selector.ts';
import type { Selector } from './tc-selector.ts';

export interface ListOptions {
  stats: boolean;
  json: boolean;
  pretty: boolean;
}

function showOptions(options: ListOptions, ctx: CommandContext): ShowOptions {
  return { stats: options.stats, nowPs: ctx.stack.scheduler.nowPs };
}

/** `tc filter show`. */
export function listFilters(selector: Selector, options: ListOptions, ctx: CommandContext): string {
  const block = selectedBlock(selector, ctx);
  const show = showOptions(options, ctx);
  const nodes: JsonNode[] = [];
  let text = '';
  for (const chain of block?.chains ?? []) {
    if (selector.chainGiven && chain.index !== selector.chain) continue;
    for (const proto of chain.protos) {
      if (selector.pref > 0 && proto.pref !== selector.pref) continue;
      if (selector.protocol >= 0 && proto.protocol !== selector.protocol) continue;
      const head = headFields(proto, chain, selector);
      nodes.push({ fields: head });
      text += `filter ${headText(head)}\n`;
      for (const filter of proto.filters) {
        if (block === null) continue;
        ctx.stack.tc.offload.readStats({ block, chain, proto }, filter);
        nodes.push({ fields: [...head, ['options', filterNode(proto, filter, show)]] });
        const handle = `handle 0x${filter.handle.toString(16)} `;
        text += `filter ${headText(head)}${handle}${filterText(proto, filter, show)}`;
      }
    }
  }
  if (options.json) return `${jsonText({ items: nodes }, options.pretty)}\n`;
  return text;
}

function selectedBlock(selector: Selector, ctx: CommandContext): TcBlock | null {
  const { tc } = ctx.stack;
  if (selector.block > 0) {
    const block = tc.sharedBlock(selector.block);
    if (block === null) throw new TcUsageError(1, `Cannot find block "${selector.block}"\n`);
    return block;
  }
  const dev = ctx.stack.links.byName(selector.dev);
  // Without a direction tc shows the root qdisc's filters: there are none.
  return dev === null || selector.direction === null ? null : tc.blockOf(dev, selector.direction);
}

/** What stands before a filter's handle; what the command line named is left out. */
function headFields(
  proto: TcProto,
  chain: TcChain,
  selector: Selector,
): [string, string | number][] {
  const fields: [string, string | number][] = [];
  if (selector.protocol < 0) fields.push(['protocol', protocolName(proto.protocol)]);
  if (selector.pref === 0) fields.push(['pref', proto.pref]);
  fields.push(['kind', proto.classifier]);
  if (!selector.chainGiven) fields.push(['chain', chain.index]);
  return fields;
}

function headText(fields: readonly (readonly [string, string | number])[]): string {
  return fields
    .map(([name, value]) => (name === 'kind' ? `${value} ` : `${name} ${value} `))
    .join('');
}

/** `tc filter get`: names everything but the device. */
export function getFilter(
  selector: Selector,
  block: TcBlock,
  options: ListOptions,
  ctx: CommandContext,
): CommandResult {
  const chain = block.chain(selector.chain);
  const proto = chain?.protos.find((one) => one.pref === selector.pref);
  const filter = proto?.filters.find((one) => one.handle === selector.handle);
  if (chain === undefined || proto === undefined || filter === undefined) {
    const what =
      proto === undefined
        ? 'Filter with specified priority/protocol not found'
        : 'Specified filter handle not found';
    return failed(2, `Error: ${what}.\nWe have an error talking to the kernel\n`);
  }
  ctx.stack.tc.offload.readStats({ block, chain, proto }, filter);
  const show = showOptions(options, ctx);
  const head: [string, string | number][] = [
    ['protocol', protocolName(proto.protocol)],
    ['pref', proto.pref],
    ['kind', proto.classifier],
    ['chain', chain.index],
  ];
  if (options.json) {
    const node: JsonNode = { fields: [...head, ['options', filterNode(proto, filter, show)]] };
    return ok(`${jsonText({ items: [node] }, options.pretty)}\n`);
  }
  const handle = `handle 0x${filter.handle.toString(16)} `;
  return ok(
    `filter ${block.direction} ${headText(head)}${handle}${filterText(proto, filter, show)}`,
  );
}

/** How a filter reads in `tc monitor`. */
export function filterEventText(
  what: string,
  where: string,
  proto: TcProto,
  chain: TcChain,
  filter: TcFilter | null,
): string {
  const head =
    `${what} filter ${where}protocol ${protocolName(proto.protocol)} pref ${proto.pref} ` +
    `${proto.classifier} chain ${chain.index} `;
  if (filter === null) return `${head}\n`;
  const body = filterText(proto, filter, { stats: false, nowPs: 0 });
  return `${head}handle 0x${filter.handle.toString(16)} ${body}`;
}

/** `tc qdisc show [dev DEV]`: ingress and clsact ones. */
export function listQdiscs(
  words: readonly string[],
  options: ListOptions,
  ctx: CommandContext,
): string {
  const at = words.indexOf('dev');
  const name = at >= 0 ? words[at + 1] : '';
  const chosen = [...ctx.stack.tc.qdiscs.values()].filter(
    ({ dev }) => name === '' || dev.name === name,
  );
  if (options.json) {
    const nodes = chosen.map((qdisc) => ({ fields: qdiscFields(qdisc, name === '') }));
    return `${jsonText({ items: nodes }, options.pretty)}\n`;
  }
  return chosen.map((qdisc) => `qdisc ${qdiscText(qdisc, name === '')}\n`).join('');
}

function qdiscFields(qdisc: TcQdisc, withDev: boolean): [string, JsonNode][] {
  const fields: [string, JsonNode][] = [
    ['kind', qdisc.kind],
    ['handle', 'ffff:'],
  ];
  if (withDev) fields.push(['dev', qdisc.dev.name]);
  fields.push(['parent', 'ffff:fff1']);
  if (qdisc.ingress.index > 0) fields.push(['ingress_block', qdisc.ingress.index]);
  if ((qdisc.egress?.index ?? 0) > 0) fields.push(['egress_block', qdisc.egress?.index ?? 0]);
  fields.push(['options', { fields: [] }]);
  return fields;
}

/** From the kind on, without a line end. */
export function qdiscText(qdisc: TcQdisc, withDev: boolean): string {
  const dev = withDev ? `dev ${qdisc.dev.name} ` : '';
  const block = qdisc.ingress.index > 0 ? `ingress_block ${qdisc.ingress.index} ` : '';
  const egress = (qdisc.egress?.index ?? 0) > 0 ? `egress_block ${qdisc.egress?.index} ` : '';
  // The ingress qdisc prints a rule of its own.
  const rule = qdisc.kind === 'ingress' ? '---------------- ' : '';
  return `${qdisc.kind} ffff: ${dev}parent ffff:fff1 ${block}${egress}${rule}`;
}

/** `tc chain show`. */
export function listChains(selector: Selector, options: ListOptions, ctx: CommandContext): string {
  const block = selectedBlock(selector, ctx);
  const chains = block?.chains ?? [];
  if (options.json) {
    const items = chains.map(({ index }) => ({ fields: [['chain', index] as const] }));
    return `${jsonText({ items }, options.pretty)}\n`;
  }
  const shared = block !== null && block.index > 0 ? `block ${block.index} ` : 'parent ffff: ';
  const where = selector.block > 0 ? '' : shared;
  return chains.map(({ index }) => `chain ${where}chain ${index} \n`).join('');
}

/** `tc actions ls action KIND`: nothing at all without any. */
export function listActions(kind: string, options: ListOptions, ctx: CommandContext): string {
  const actions = ctx.stack.tc.actions.list(kind);
  if (actions.length === 0 && !options.json) return '';
  return actionsText(actions, 0, options, ctx);
}

/** Actions as `tc actions` lists them, numbered from `first`; `get` (from 1) says that there are 0. */
export function actionsText(
  actions: readonly TcActionInstance[],
  first: number,
  options: ListOptions,
  ctx: CommandContext,
): string {
  const count = first === 0 ? actions.length : 0;
  const show = { ...showOptions(options, ctx), isAction: true };
  if (options.json) {
    const items = actions.map((action, i) => actionNode(action, first + i, show));
    const total: JsonNode = { fields: [['total acts', count]] };
    const list: JsonNode = { fields: [['actions', { items }]] };
    return `${jsonText({ items: actions.length > 0 ? [total, list] : [total] }, options.pretty)}\n`;
  }
  const lines = actions.map(
    (action, i) => `\n\taction order ${first + i}: ${actionText(action, show)}`,
  );
  return `total acts ${count}\n${lines.join('')}`;
}

/** Name of a block in `tc monitor`. */
export function placeText(block: TcBlock, dev: NetDevice | null): string {
  return block.index > 0 ? `block ${block.index} ` : `dev ${dev?.name ?? ''} `;
}
