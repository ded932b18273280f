// Traffic control of a machine (net/sched): ingress and clsact qdiscs on devices, shared blocks, and the life of their filters,
// with the kernel's refusals. Classification in software is classify.ts; drivers are asked through offload.ts.
//
// Not here: any other qdisc and class; filters outside clsact and ingress.

import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP } from '../../../driver/errno.ts';
import { TC_SETUP_ROOT_QDISC } from '../../../driver/flow-block.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { TcFilterSpec } from '../../rules/tc-parse.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import { ActionTable } from './action.ts';
import { BlockBinding } from './binding.ts';
import { TcBlock } from './block.ts';
import type { Direction, TcChain, TcFilter, TcProto } from './block.ts';
import { matchOfKeys, ruleOf } from './flow-rule-of.ts';
import { softwareObstacle } from './execute.ts';
import { FilterOffload } from './offload.ts';
import type { FilterPlace } from './offload.ts';
import { peditKeys } from './pedit.ts';
import type { TcPort } from './port.ts';

/** A clsact or ingress qdisc. */
export interface TcQdisc {
  kind: 'clsact' | 'ingress';
  dev: NetDevice;
  /** By direction; an ingress qdisc has no egress. */
  ingress: TcBlock;
  egress: TcBlock | null;
}

/** What happened, for `tc monitor`. */
export type TcEvent =
  | { kind: 'qdisc'; deleted: boolean; qdisc: TcQdisc }
  | { kind: 'chain'; deleted: boolean; block: TcBlock; chain: TcChain; dev: NetDevice | null }
  | {
      kind: 'filter';
      what: 'added' | 'replaced' | 'deleted';
      place: FilterPlace;
      /** null for a whole classifier. */
      filter: TcFilter | null;
    };

/** Numbers of the shared blocks of a qdisc, 0 for none. */
export interface QdiscBlocks {
  ingress: number;
  egress: number;
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];
/** Cookies are numbered within a namespace; so many apart, those of two cannot meet. */
const COOKIES_PER_NAMESPACE = 0x1_0000_0000;
/** First automatic preference; later ones count down. */
const AUTO_PREF = 49152;

export class TrafficControl {
  readonly actions = new ActionTable();
  readonly qdiscs = new Map<NetDevice, TcQdisc>();
  readonly offload: FilterOffload;
  /** Told of every change. */
  onEvent: ((event: TcEvent) => void) | null = null;
  /** Told when blocks come and go on devices: software classification follows. */
  onAttach: ((qdisc: TcQdisc, attached: boolean) => void) | null = null;

  private readonly port: TcPort;
  private readonly binding: BlockBinding;
  private readonly shared = new Map<number, TcBlock>();
  /** Devices that had a qdisc: a second deletion of it is answered otherwise than a first. */
  private readonly hadQdisc = new Set<NetDevice>();
  private readonly zones: number[] = [];
  /** Drivers know filters by their cookies: those of two namespaces differ. */
  private nextCookie: number;

  constructor(port: TcPort) {
    this.port = port;
    this.nextCookie = 0x1000 + port.namespaceNumber * COOKIES_PER_NAMESPACE;
    this.offload = new FilterOffload(port.scheduler);
    this.binding = new BlockBinding(this.offload, this.context);
  }

  /**
   * `tc qdisc add dev DEV [ingress_block N] [egress_block N] clsact|ingress`; block 0: of its own. A driver that joins a block with
   * filters is given them; if it refuses one that software has not, the qdisc is refused.
   */
  addQdisc(dev: NetDevice, kind: TcQdisc['kind'], blocks: QdiscBlocks): Answer {
    if (this.qdiscs.has(dev))
      return refuse(EEXIST, 'Exclusivity flag on, cannot modify', 'qdisc-exists');
    if (kind === 'ingress' && blocks.egress > 0)
      return refuse(EOPNOTSUPP, 'Egress block sharing is not supported', 'egress-block');
    if (blocks.ingress > 0 && blocks.ingress === blocks.egress)
      return refuse(EEXIST, 'block dev insert failed', 'block-device');
    const ingress = this.blockFor(blocks.ingress, 'ingress');
    const egress = kind === 'clsact' ? this.blockFor(blocks.egress, 'egress') : null;
    const qdisc: TcQdisc = { kind, dev, ingress, egress };
    const joined: Direction[] = [];
    for (const direction of DIRECTIONS) {
      const block = qdisc[direction];
      if (block === null) continue;
      const answer = this.binding.bind(block, dev, direction);
      if (answer.error !== 0) {
        for (const one of joined) this.leave(qdisc, one);
        this.forgetEmpty(qdisc);
        return answer;
      }
      joined.push(direction);
      block.devices.push(dev);
    }
    this.qdiscs.set(dev, qdisc);
    this.hadQdisc.add(dev);
    dev.ops.ndo_setup_tc?.(dev, TC_SETUP_ROOT_QDISC, { kind, add: true });
    this.onAttach?.(qdisc, true);
    this.onEvent?.({ kind: 'qdisc', deleted: false, qdisc });
    return OK;
  }

  /** `tc qdisc del dev DEV clsact|ingress`. */
  deleteQdisc(dev: NetDevice, kind: TcQdisc['kind']): Answer {
    const qdisc = this.qdiscs.get(dev);
    if (qdisc === undefined)
      return this.hadQdisc.has(dev)
        ? refuse(EINVAL, 'Invalid handle', 'qdisc')
        : refuse(ENOENT, 'Cannot find specified qdisc on specified device', 'qdisc');
    if (qdisc.kind !== kind) return refuse(EINVAL, 'Invalid qdisc name', 'qdisc-kind');
    this.onAttach?.(qdisc, false);
    this.onEvent?.({ kind: 'qdisc', deleted: true, qdisc });
    for (const direction of DIRECTIONS) this.leave(qdisc, direction);
    this.forgetEmpty(qdisc);
    this.qdiscs.delete(dev);
    return OK;
  }

  /** A device is unregistered: its qdisc goes, and with it what only it had. */
  deviceGone(dev: NetDevice): void {
    const qdisc = this.qdiscs.get(dev);
    if (qdisc !== undefined) this.deleteQdisc(dev, qdisc.kind);
    this.hadQdisc.delete(dev);
  }

  private blockFor(index: number, direction: Direction): TcBlock {
    const known = index > 0 ? this.shared.get(index) : undefined;
    if (known !== undefined) return known;
    const made = new TcBlock(index, direction);
    if (index > 0) this.shared.set(index, made);
    return made;
  }

  /** A device leaves a block: its driver is told to delete the filters, and so is everybody's when it was the last device. */
  private leave(qdisc: TcQdisc, direction: Direction): void {
    const { dev } = qdisc;
    const block = qdisc[direction];
    if (block === null) return;
    const at = block.devices.indexOf(dev);
    if (at >= 0) block.devices.splice(at, 1);
    if (block.devices.length === 0) this.flush(block, dev);
    this.binding.unbind(block, dev, direction);
  }

  private forgetEmpty({ ingress, egress }: TcQdisc): void {
    for (const block of [ingress, egress])
      if (block !== null && block.index > 0 && block.devices.length === 0)
        this.shared.delete(block.index);
  }

  /** The block behind `dev DEV ingress|egress`, null without a qdisc there. */
  blockOf(dev: NetDevice, direction: Direction): TcBlock | null {
    const qdisc = this.qdiscs.get(dev);
    if (qdisc === undefined) return null;
    return direction === 'ingress' ? qdisc.ingress : qdisc.egress;
  }

  sharedBlock(index: number): TcBlock | null {
    return this.shared.get(index) ?? null;
  }

  /** `tc filter add|replace|change`. */
  setFilter(block: TcBlock, spec: TcFilterSpec, verb: 'add' | 'replace' | 'change'): Answer {
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

  /** `tc filter del` of one filter, a classifier (handle 0), or a whole chain (pref 0). */
  deleteFilter(
    block: TcBlock,
    chainIndex: number,
    pref: number,
    handle: number,
    protocol: number,
  ): Answer {
    const chain = block.chain(chainIndex);
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
    this.onEvent?.({ kind: 'chain', deleted: false, block, chain, dev: null });
    return { chain, made: true };
  }

  /** A chain without filters goes, unless a user made it. `dev`: the device of a block that has lost its last. */
  private dropChain(block: TcBlock, chain: TcChain, dev: NetDevice | null = null): void {
    if (chain.protos.length > 0 || chain.isExplicit) return;
    const at = block.chains.indexOf(chain);
    if (at < 0) return;
    block.chains.splice(at, 1);
    this.onEvent?.({ kind: 'chain', deleted: true, block, chain, dev });
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
      const made = this.actions.bind(one, peditKeys(one), this.port.scheduler.nowPs);
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

  private flush(block: TcBlock, dev: NetDevice): void {
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
    this.onEvent?.({ kind: 'filter', what, place, filter });
  }

  private readonly context = {
    device: (name: string): NetDevice | null => this.port.deviceByName(name),
    zoneTable: (zone: number): number => {
      if (!this.zones.includes(zone)) this.zones.push(zone);
      return this.zones.indexOf(zone) + 1;
    },
  };
}
