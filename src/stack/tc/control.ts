// Traffic control of a namespace (net/sched): ingress and clsact qdiscs on devices and the blocks that they have or share, with the
// kernel's refusals. Filters of blocks: filters.ts; classification in software: classify.ts, egress.ts; drivers: binding.ts, offload.ts.
//
// Not here: any other qdisc and class; filters outside clsact and ingress.

import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP } from '../../../driver/errno.ts';
import { TC_SETUP_ROOT_QDISC } from '../../../driver/flow-block.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import { ActionTable } from './action.ts';
import { BlockBinding } from './binding.ts';
import { TcBlock } from './block.ts';
import type { Direction } from './block.ts';
import { BlockFilters } from './filters.ts';
import type { BlockEvent } from './filters.ts';
import { FilterOffload } from './offload.ts';
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
export type TcEvent = { kind: 'qdisc'; deleted: boolean; qdisc: TcQdisc } | BlockEvent;

/** Numbers of the shared blocks of a qdisc, 0 for none. */
export interface QdiscBlocks {
  ingress: number;
  egress: number;
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];
/** Cookies are numbered within a namespace; so many apart, those of two cannot meet. */
const FIRST_COOKIE = 0x1000;
const COOKIES_PER_NAMESPACE = 0x1_0000_0000;

export class TrafficControl {
  readonly actions = new ActionTable();
  readonly qdiscs = new Map<NetDevice, TcQdisc>();
  readonly offload: FilterOffload;
  readonly filters: BlockFilters;
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

  constructor(port: TcPort) {
    this.port = port;
    this.offload = new FilterOffload(port.scheduler);
    this.binding = new BlockBinding(this.offload, this.context);
    this.filters = new BlockFilters({
      scheduler: port.scheduler,
      actions: this.actions,
      offload: this.offload,
      context: this.context,
      emit: (event) => this.onEvent?.(event),
      // Drivers know filters by their cookies: those of two namespaces differ.
      firstCookie: FIRST_COOKIE + port.namespaceNumber * COOKIES_PER_NAMESPACE,
    });
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
    if (block.devices.length === 0) this.filters.flush(block, dev);
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

  private readonly context = {
    device: (name: string): NetDevice | null => this.port.deviceByName(name),
    zoneTable: (zone: number): number => {
      if (!this.zones.includes(zone)) this.zones.push(zone);
      return this.zones.indexOf(zone) + 1;
    },
  };
}
