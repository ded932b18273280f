// The filters of blocks from `tc filter` and `tc chain` to drivers and back: chains that come with their first filter and go with their
// last, preferences, handles, the checks of flower and matchall, actions bound, drivers asked (net/sched/cls_api.c, with the kernel's
// refusals).

import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { Scheduler } from '../../../hw/time/scheduler.ts';
import type { TcFilterSpec } from '../../rules/tc-parse.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { ActionTable } from './action.ts';
import type { TcBlock, TcChain, TcFilter, TcProto } from './block.ts';
import { softwareObstacle } from './execute.ts';
import { matchOfKeys, ruleOf } from './flow-rule-of.ts';
import type { RuleContext } from './flow-rule-of.ts';
import type { FilterOffload, FilterPlace } from './offload.ts';
import { peditKeys } from './pedit.ts';

/** First automatic preference; later ones count down. */
const AUTO_PREF = 49152;

/** What happened in a block, for `tc monitor`. */
export type BlockEvent =
  | { kind: 'chain'; deleted: boolean; block: TcBlock; chain: TcChain; dev: NetDevice | null }
  | {
      kind: 'filter';
      what: 'added' | 'replaced' | 'deleted';
      place: FilterPlace;
      /** null for a whole classifier. */
      filter: TcFilter | null;
    };

/** What `tc filter del` names. */
export interface FilterSelection {
  chain: number;
  /** 0: the whole chain. */
  pref: number;
  /** 0: the whole classifier. */
  handle: number;
  /** −1: any. */
  protocol: number;
}

/** What the filters of all blocks share. */
export interface FilterParts {
  readonly scheduler: Scheduler;
  readonly actions: ActionTable;
  readonly offload: FilterOffload;
  readonly context: RuleContext;
  readonly emit: (event: BlockEvent) => void;
  readonly firstCookie: number;
}

export class BlockFilters {
  private readonly scheduler: Scheduler;
  private readonly actions: ActionTable;
  private readonly offload: FilterOffload;
  private readonly context: RuleContext;
  private readonly emit: (event: BlockEvent) => void;
  private nextCookie: number;

  constructor(parts: FilterParts) {
    this.scheduler = parts.scheduler;
    this.actions = parts.actions;
    this.offload = parts.offload;
    this.context = parts.context;
    this.emit = parts.emit;
    this.nextCookie = parts.firstCookie;
  }

  /** `tc filter add|replace|change`. */
  set(block: TcBlock, spec: TcFilterSpec, verb: 'add' | 'replace' | 'change'): Answer {
    const { rule } = spec;
    const { chain } = this.chainFor(block, rule.group);
    const found = this.protoFor(chain, spec, verb);
    if ('error' in found) {
      this.dropChain(block, chain);
      return found;
    }
    const place = { block, chain, proto: found };
    const answer = this.putFilter(place, spec, verb);
    if (found.filters.length === 0) {
      const at = chain.protos.indexOf(found);
      if (at >= 0) chain.protos.splice(at, 1);
      this.dropChain(block, chain);
    }
    return answer;
  }

  /** `tc filter del` of one filter, a classifier, or a whole chain. */
  delete(block: TcBlock, selection: FilterSelection): Answer {
    const { pref, handle, protocol } = selection;
    const chain = block.chain(selection.chain);
    if (chain === undefined) return refuse(EINVAL, 'Cannot find specified filter chain', 'chain');
    if (pref === 0) {
      for (const proto of [...chain.protos]) this.removeProto({ block, chain, proto });
      this.dropChain(block, chain);
      return OK;
    }
    const proto = chain.protos.find((one) => one.pref === pref);
    if (proto === undefined || (protocol >= 0 && proto.protocol !== protocol))
      return refuse(ENOENT, 'Filter with specified priority/protocol not found', 'filter');
    const place = { block, chain, proto };
    if (handle === 0) this.removeProto(place);
    else {
      const filter = proto.filters.find((one) => one.handle === handle);
      if (filter === undefined)
        return refuse(ENOENT, 'Specified filter handle not found', 'filter-handle');
      this.announce('deleted', place, filter);
      this.removeFilter(place, filter);
      if (proto.filters.length === 0) chain.protos.splice(chain.protos.indexOf(proto), 1);
    }
    this.dropChain(block, chain);
    return OK;
  }

  /** `tc chain add`. */
  addChain(block: TcBlock, index: number): Answer {
    const { chain, made } = this.chainFor(block, index);
    if (!made && chain.isExplicit) return refuse(EEXIST, 'Filter chain already exists', 'chain');
    chain.isExplicit = true;
    return OK;
  }

  /** `tc chain del`: its filters go too. */
  deleteChain(block: TcBlock, index: number): Answer {
    const chain = block.chain(index);
    if (chain === undefined) return refuse(EINVAL, 'Cannot find specified filter chain', 'chain');
    for (const proto of [...chain.protos]) this.removeProto({ block, chain, proto });
    chain.isExplicit = false;
    this.dropChain(block, chain);
    return OK;
  }

  private chainFor(block: TcBlock, index: number): { chain: TcChain; made: boolean } {
    const old = block.chain(index);
    if (old !== undefined) return { chain: old, made: false };
    const chain: TcChain = { index, protos: [], isExplicit: false };
    block.chains.push(chain);
    this.emit({ kind: 'chain', deleted: false, block, chain, dev: null });
    return { chain, made: true };
  }

  /** A chain without filters goes, unless a user made it. `dev`: the device of a block that has lost its last. */
  private dropChain(block: TcBlock, chain: TcChain, dev: NetDevice | null = null): void {
    if (chain.protos.length > 0 || chain.isExplicit) return;
    const at = block.chains.indexOf(chain);
    if (at < 0) return;
    block.chains.splice(at, 1);
    this.emit({ kind: 'chain', deleted: true, block, chain, dev });
  }

  private protoFor(chain: TcChain, spec: TcFilterSpec, verb: string): TcProto | Answer {
    const { rule, classifier } = spec;
    const protocol = spec.protocol < 0 ? 3 : spec.protocol;
    let pref = rule.priorityGiven ? rule.priority : 0;
    if (pref === 0 && verb === 'change')
      return refuse(ENOENT, 'Filter with specified priority/protocol not found', 'filter');
    if (pref === 0) pref = Math.min(AUTO_PREF + 1, ...chain.protos.map((one) => one.pref)) - 1;
    const old = chain.protos.find((one) => one.pref === pref);
    if (old !== undefined) {
      if (old.protocol !== protocol)
        return refuse(EINVAL, 'Filter with specified priority/protocol not found', 'protocol');
      if (old.classifier !== classifier)
        return refuse(EINVAL, 'Specified filter kind does not match existing one', 'kind');
      return old;
    }
    if (verb === 'change')
      return refuse(
        ENOENT,
        'Need both RTM_NEWTFILTER and NLM_F_CREATE to create a new filter',
        'filter',
      );
    const made: TcProto = { protocol, pref, classifier, filters: [] };
    let at = chain.protos.length;
    while (at > 0 && chain.protos[at - 1].pref > pref) at--;
    chain.protos.splice(at, 0, made);
    return made;
  }

  private putFilter(
    place: FilterPlace,
    spec: TcFilterSpec,
    verb: 'add' | 'replace' | 'change',
  ): Answer {
    const { filters } = place.proto;
    const { handle } = spec.rule;
    const old = handle > 0 ? (filters.find((one) => one.handle === handle) ?? null) : null;
    if (old !== null && verb === 'add')
      return refuse(EEXIST, 'Filter already exists', 'filter-exists');
    if (old === null && handle > 0 && verb === 'change')
      return refuse(ENOENT, 'Specified filter handle not found', 'filter-handle');
    const filter = this.makeFilter(spec, old?.handle ?? this.freeHandle(filters, handle));
    if ('error' in filter) return filter;
    const answer =
      this.checkSoftware(filter) ??
      this.checkFilter(place.proto, filter, old) ??
      this.install(place, filter, old);
    if (answer.error !== 0) this.actions.release(filter.actions);
    else this.announce(verb === 'add' ? 'added' : 'replaced', place, filter);
    return answer;
  }

  /** What packets in software would not get is refused, never ignored. */
  private checkSoftware(filter: TcFilter): Answer | null {
    const obstacle = filter.skipSw ? '' : softwareObstacle(filter.actions);
    if (obstacle === '') return null;
    const message = `action ${obstacle} is not modelled in software: add skip_sw`;
    return refuse(EOPNOTSUPP, message, 'software');
  }

  /** Flower's own rules: the mask of a filter stays, and no two are the same. */
  private checkFilter(proto: TcProto, filter: TcFilter, old: TcFilter | null): Answer | null {
    if (proto.classifier === 'matchall')
      return proto.filters.length > 0 && old === null ? refuse(EEXIST, '', 'matchall') : null;
    if (old !== null && old.maskText !== filter.maskText) return refuse(EINVAL, '', 'mask');
    const same = proto.filters.some((one) => one !== old && one.keyText === filter.keyText);
    return same ? refuse(EEXIST, '', 'same-key') : null;
  }

  private install(place: FilterPlace, filter: TcFilter, old: TcFilter | null): Answer {
    const { filters } = place.proto;
    const extack = { message: '', reason: '' };
    if (!filter.skipHw && place.block.callbacks.length > 0) {
      const rule = ruleOf(filter.keys, filter.actions, this.context);
      if (typeof rule === 'string') {
        if (filter.skipSw) return refuse(EOPNOTSUPP, rule, 'action');
      } else filter.flowRule = rule;
    }
    if (filter.skipSw || filter.flowRule !== null) {
      const error = this.offload.replace(place, filter, extack);
      if (error !== 0) return refuse(-error, extack.message, extack.reason);
    }
    if (old !== null) {
      filters.splice(filters.indexOf(old), 1, filter);
      this.destroy(place, old);
    } else {
      filters.push(filter);
      filters.sort((a, b) => a.handle - b.handle);
    }
    return OK;
  }

  private makeFilter(spec: TcFilterSpec, handle: number): TcFilter | Answer {
    const { rule, keys } = spec;
    const actions = [];
    for (const one of spec.actions) {
      const made = this.actions.bind(one, peditKeys(one), this.scheduler.nowPs);
      if ('error' in made) {
        this.actions.release(actions);
        return made;
      }
      actions.push(made.action);
    }
    const masks = rule.matches.map((one) =>
      one.kind === 'mask' ? `${one.field}/${one.mask.join(',')}` : `${one.field}/range`,
    );
    return {
      handle,
      cookie: this.nextCookie++,
      rule,
      keys,
      maskText: masks.join(' '),
      keyText: JSON.stringify(rule.matches.map((one) => ({ ...one, at: 0 }))),
      skipSw: rule.residence === 'hardware',
      skipHw: rule.residence === 'software',
      inHwCount: 0,
      match: matchOfKeys(keys),
      actions,
      flowRule: null,
      hits: 0,
    };
  }

  private freeHandle(filters: readonly TcFilter[], wanted: number): number {
    if (wanted > 0) return wanted;
    let handle = 1;
    while (filters.some((one) => one.handle === handle)) handle++;
    return handle;
  }

  private removeProto(place: FilterPlace): void {
    const { chain, proto } = place;
    this.announce('deleted', place, null);
    for (const filter of [...proto.filters]) this.removeFilter(place, filter);
    chain.protos.splice(chain.protos.indexOf(proto), 1);
  }

  private removeFilter(place: FilterPlace, filter: TcFilter): void {
    const { filters } = place.proto;
    filters.splice(filters.indexOf(filter), 1);
    this.destroy(place, filter);
  }

  private destroy(place: FilterPlace, filter: TcFilter): void {
    if (filter.flowRule !== null) this.offload.destroy(place, filter);
    this.actions.release(filter.actions);
  }

  /** Everything of a block goes, with its last device. */
  flush(block: TcBlock, dev: NetDevice): void {
    for (const chain of [...block.chains]) {
      for (const proto of [...chain.protos])
        for (const filter of [...proto.filters]) this.removeFilter({ block, chain, proto }, filter);
      chain.protos.length = 0;
      chain.isExplicit = false;
      this.dropChain(block, chain, dev);
    }
  }

  private announce(
    what: 'added' | 'replaced' | 'deleted',
    place: FilterPlace,
    filter: TcFilter | null,
  ): void {
    // The notification is a dump: it asks hardware for its counts.
    if (filter !== null && filter.flowRule !== null) this.offload.readStats(place, filter);
    this.emit({ kind: 'filter', what, place, filter });
  }
}
