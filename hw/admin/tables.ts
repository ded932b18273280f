// What admin commands do to the tables: validation of keys and actions, insertion, removal, reading. Shared by the
// admin queues of all functions; every answer is a status and a detail (format.ts), nothing here throws.

import { assert } from '../base/assert.ts';
import * as A from '../action/action-ram.ts';
import type { DeviceContext } from '../context.ts';
import * as K from '../parse/key-layout.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { INSERT_BUCKET_FULL, INSERT_EXISTS, INSERT_TABLE_FULL } from '../table/exact-match.ts';
import type { EntryStats } from '../table/entry-stats.ts';
import { SwitchAdmin } from '../switch/admin.ts';
import type { SwitchPipeline } from '../switch/pipeline.ts';
import { ManagedTcam } from '../table/managed-tcam.ts';
import * as F from './format.ts';
import { PROTO_TCP, PROTO_UDP } from '../wire/headers.ts';

export class AdminTables {
  // Answer of the last call.
  status: F.Status = F.Status.OK;
  detail: F.Detail = F.Detail.NONE;
  result = 0;

  /** Time at which the last change is wholly in the tables, ps; the queue clears it before a command. */
  settledPs = 0;
  /** Entries that the last command moved or displaced; the queue clears it before a command. */
  moves = 0;
  /** The staged tables, null where the device has none. */
  readonly staged: SwitchAdmin | null;
  /** Set when the device places TCAM rules by priority. */
  readonly managed: ManagedTcam | null;

  private readonly ctx: DeviceContext;
  private readonly pipeline: Pipeline;
  private readonly flowCookie: Uint32Array;
  private readonly tcamCookie: Uint32Array;
  /** Function that added each entry. */
  private readonly flowOwner: Uint8Array;
  private readonly tcamOwner: Uint8Array;
  private readonly key = new Uint32Array(K.EXACT_KEY_WORDS);
  private readonly action = new Uint32Array(A.ACTION_WORDS);
  private readonly value = new Uint32Array(K.TCAM_WORDS);
  private readonly mask = new Uint32Array(K.TCAM_WORDS);

  constructor(ctx: DeviceContext, pipeline: Pipeline, staged: SwitchPipeline | null) {
    assert(F.TCAM_KEY_WORDS === K.TCAM_WORDS, 'admin format and TCAM key differ');
    this.ctx = ctx;
    this.pipeline = pipeline;
    this.flowCookie = new Uint32Array(pipeline.flows.capacity);
    this.flowOwner = new Uint8Array(pipeline.flows.capacity);
    this.tcamCookie = new Uint32Array(pipeline.tcam.entries);
    this.tcamOwner = new Uint8Array(pipeline.tcam.entries);
    this.staged = staged === null ? null : new SwitchAdmin(ctx, staged);
    const { tcam, admin } = ctx.config;
    this.managed =
      tcam.placement === undefined
        ? null
        : new ManagedTcam(tcam.placement, pipeline.tcam, ctx.scheduler, admin.movePs);
  }

  /** Cookie that FLOW_ADD gave an entry. */
  cookieOf(handle: number): number {
    return this.flowCookie[handle];
  }

  /** FLOW_ADD. */
  flowAdd(command: DataView, functionIndex: number): void {
    if (this.ctx.config.hasFlowTable === false)
      return this.answer(F.Status.BAD_OPCODE, F.Detail.NO_FLOW_TABLE);
    if (!this.readFlowKey(command) || !this.readFlowAction(command)) return;
    const handle = this.pipeline.flows.insert(this.key);
    this.moves = this.pipeline.flows.lastMoves;
    this.settledPs =
      this.ctx.scheduler.nowPs + this.pipeline.flows.lastMoves * this.ctx.config.admin.movePs;
    if (handle === INSERT_EXISTS) return this.answer(F.Status.EXISTS, F.Detail.SAME_KEY);
    if (handle === INSERT_TABLE_FULL) return this.answer(F.Status.NO_SPACE, F.Detail.TABLE_FULL);
    if (handle === INSERT_BUCKET_FULL) return this.answer(F.Status.NO_SPACE, F.Detail.BUCKET_FULL);
    this.pipeline.flowActions.write(handle, this.action);
    this.pipeline.flowStats.clear(handle, this.ctx.scheduler.nowPs);
    this.flowCookie[handle] = command.getUint32(F.CMD_COOKIE, true);
    this.flowOwner[handle] = functionIndex;
    this.answer(F.Status.OK, F.Detail.NONE, handle);
  }

  /** FLOW_DEL. */
  flowDel(command: DataView): void {
    const handle = command.getUint32(F.DEL_HANDLE, true);
    if (handle >= this.pipeline.flows.capacity)
      return this.answer(F.Status.NOT_FOUND, F.Detail.HANDLE_RANGE);
    if (!this.pipeline.flows.remove(handle))
      return this.answer(F.Status.NOT_FOUND, F.Detail.HANDLE_FREE);
    this.answer(F.Status.OK, F.Detail.NONE, handle);
  }

  /** TCAM_ADD. */
  tcamAdd(command: DataView, functionIndex: number): void {
    const handle = this.managed === null ? this.tcamPlace(command) : this.managed.nextHandle();
    if (handle < 0) {
      if (this.managed !== null) this.answer(F.Status.NO_SPACE, F.Detail.TABLE_FULL);
      return;
    }
    if (!this.readTcamRule(command)) return;
    this.pipeline.tcamActions.write(handle, this.action);
    this.pipeline.tcamStats.clear(handle, this.ctx.scheduler.nowPs);
    if (this.managed === null) this.pipeline.tcam.set(handle, this.value, this.mask);
    else {
      const priority = command.getUint32(F.TCAM_POSITION, true);
      if (!this.managed.add(priority, this.value, this.mask))
        return this.answer(F.Status.BAD_KEY, F.Detail.PRIORITY_RANGE);
      this.settledPs = this.managed.settledPs;
      this.moves = this.managed.lastMoves;
    }
    this.tcamCookie[handle] = command.getUint32(F.CMD_COOKIE, true);
    this.tcamOwner[handle] = functionIndex;
    this.answer(F.Status.OK, F.Detail.NONE, handle);
  }

  /** TCAM_DEL. */
  tcamDel(command: DataView): void {
    const position = command.getUint32(F.DEL_HANDLE, true);
    if (position >= this.pipeline.tcam.entries)
      return this.answer(F.Status.NOT_FOUND, F.Detail.HANDLE_RANGE);
    const isRemoved = (this.managed ?? this.pipeline.tcam).remove(position);
    if (!isRemoved) return this.answer(F.Status.NOT_FOUND, F.Detail.HANDLE_FREE);
    if (this.managed !== null) {
      this.settledPs = this.managed.settledPs;
      this.moves = this.managed.lastMoves;
    }
    this.answer(F.Status.OK, F.Detail.NONE, position);
  }

  /** COUNTERS_READ: one record per handle of the range. */
  countersRead(command: DataView): void {
    const range = this.readRange(command, F.COUNTER_RECORD_BYTES);
    if (range === null) return;
    const { first, count, stats, isFlow } = range;
    const memory = this.ctx.memory;
    const view = memory.region.view;
    let at = memory.offset;
    for (let handle = first; handle < first + count; handle++, at += F.COUNTER_RECORD_BYTES) {
      const isUsed = this.isUsed(isFlow, handle);
      F.writeU64(view, at + F.REC_PACKETS, isUsed ? stats.packets(handle) : 0);
      F.writeU64(view, at + F.REC_BYTES, isUsed ? stats.bytes(handle) : 0);
      F.writeU64(view, at + F.REC_LAST_HIT_PS, isUsed ? Math.floor(stats.lastHitPs(handle)) : 0);
      const flags = F.REC_FLAG_VALID | (stats.wasHit(handle) ? F.REC_FLAG_HIT : 0);
      view.setUint32(at + F.REC_FLAGS, isUsed ? flags : 0, true);
      const cookies = isFlow ? this.flowCookie : this.tcamCookie;
      view.setUint32(at + F.REC_COOKIE, isUsed ? cookies[handle] : 0, true);
    }
    this.answer(F.Status.OK, F.Detail.NONE, count);
  }

  /** AGE_QUERY: hit bits (read and clear) or the handles that have been idle for long. */
  ageQuery(command: DataView): void {
    const mode = command.getUint32(F.AGE_MODE, true);
    if (mode > F.AGE_IDLE_LIST) return this.answer(F.Status.BAD_RANGE, F.Detail.BUFFER);
    const isList = mode === F.AGE_IDLE_LIST;
    const maxResults = command.getUint32(F.AGE_MAX_RESULTS, true);
    const range = this.readRange(command, isList ? 0 : 1 / 8, isList ? maxResults * 4 : 0);
    if (range === null) return;
    const { first, count, stats, isFlow } = range;
    const view = this.ctx.memory.region.view;
    const base = this.ctx.memory.offset;
    const idlePs = F.readU64(command, F.AGE_IDLE_PS);
    const nowPs = this.ctx.scheduler.nowPs;
    let found = 0;
    if (!isList) for (let w = 0; w < count; w += 32) view.setUint32(base + w / 8, 0, true);
    for (let i = 0; i < count; i++) {
      const handle = first + i;
      if (!this.isUsed(isFlow, handle)) continue;
      if (isList) {
        if (stats.idlePs(handle, nowPs) < idlePs || found >= maxResults) continue;
        view.setUint32(base + 4 * found++, handle, true);
      } else if (stats.wasHit(handle)) {
        const at = base + 4 * (i >> 5);
        view.setUint32(at, view.getUint32(at, true) | (1 << (i & 31)), true);
        stats.clearHit(handle);
        found++;
      }
    }
    this.answer(F.Status.OK, F.Detail.NONE, found);
  }

  /** PORT_SET. */
  portSet(command: DataView): void {
    const port = command.getUint32(F.PORT_INDEX, true);
    if (port >= this.ctx.config.ports) return this.answer(F.Status.BAD_PORT, F.Detail.KEY_PORT);
    const valid = command.getUint32(F.PORT_VALID, true);
    if ((valid & 1) !== 0)
      this.pipeline.isFlowEnabled[port] = command.getUint32(F.PORT_FLOW_ENABLE, true) & 1;
    if ((valid & 2) !== 0)
      this.pipeline.portMtuBytes[port] = Math.min(command.getUint32(F.PORT_MTU, true), 0x7fffffff);
    this.answer(F.Status.OK, F.Detail.NONE, port);
  }

  /** RESET_TABLES. */
  resetTables(command: DataView, functionIndex: number): void {
    const removed = this.removeAll(
      command.getUint32(F.RESET_SCOPE, true) === 0 ? functionIndex : -1,
    );
    this.answer(F.Status.OK, F.Detail.NONE, removed);
  }

  /** Removes the entries that a function added (−1: all), at once; returns how many. */
  removeAll(functionIndex: number): number {
    const { flows } = this.pipeline;
    const tcam = this.managed ?? this.pipeline.tcam;
    let removed = 0;
    for (let h = 0; h < flows.capacity; h++)
      if (functionIndex < 0 || this.flowOwner[h] === functionIndex)
        removed += flows.remove(h) ? 1 : 0;
    for (let p = 0; p < this.pipeline.tcam.entries; p++)
      if (functionIndex < 0 || this.tcamOwner[p] === functionIndex)
        removed += tcam.remove(p) ? 1 : 0;
    this.managed?.flush();
    return removed + (this.staged?.removeAll(functionIndex) ?? 0);
  }

  /** When the next write of an entry that moves is done, ps; Infinity when nothing moves. */
  get nextPs(): number {
    return Math.min(this.managed?.nextPs ?? Infinity, this.staged?.nextPs ?? Infinity);
  }

  /** Records the answer. */
  answer(status: F.Status, detail: F.Detail, result = 0): void {
    this.status = status;
    this.detail = detail;
    this.result = result;
  }

  private isUsed(isFlow: boolean, handle: number): boolean {
    if (isFlow) return this.pipeline.flows.isUsed(handle);
    return (this.managed ?? this.pipeline.tcam).isUsed(handle);
  }

  /** The position that TCAM_ADD names; −1 with an answer when it cannot be had. */
  private tcamPlace(command: DataView): number {
    const tcam = this.pipeline.tcam;
    let position = command.getUint32(F.TCAM_POSITION, true);
    if (position === F.TCAM_FIRST_FREE) {
      position = tcam.firstFree();
      if (position < 0) this.answer(F.Status.NO_SPACE, F.Detail.TABLE_FULL);
      return position;
    }
    if (position >= tcam.entries) {
      this.answer(F.Status.NO_SPACE, F.Detail.POSITION_RANGE);
      return -1;
    }
    if (!tcam.isUsed(position)) return position;
    this.answer(F.Status.EXISTS, F.Detail.POSITION_TAKEN);
    return -1;
  }

  /** Key and action of TCAM_ADD; false with an answer when the action is not possible. */
  private readTcamRule(command: DataView): boolean {
    const flags = command.getUint8(F.TCAM_FLAGS);
    const queue = command.getUint8(F.TCAM_QUEUE);
    const verdict = command.getUint8(F.TCAM_VERDICT);
    const outPort = command.getUint8(F.TCAM_OUT_PORT);
    const usesQueue = (flags & F.TCAM_FLAG_QUEUE) !== 0;
    if ((flags & ~3) !== 0) return this.refuse(F.Status.BAD_ACTION, F.Detail.ACTION_FLAGS);
    if (!this.checkVerdict(verdict, outPort, queue, usesQueue, F.Verdict.CONTINUE)) return false;
    for (let i = 0; i < K.TCAM_WORDS; i++) {
      this.value[i] = command.getUint32(F.TCAM_VALUE + 4 * i, true);
      this.mask[i] = command.getUint32(F.TCAM_MASK + 4 * i, true);
    }
    this.action.fill(0);
    this.action[A.A_FLAGS] =
      (usesQueue ? F.ActionFlag.QUEUE : 0) |
      ((flags & F.TCAM_FLAG_MARK) !== 0 ? F.ActionFlag.MARK : 0);
    this.action[A.A_VERDICT] = verdict | (outPort << 8) | (queue << 16);
    this.action[A.A_MARK] = command.getUint32(F.TCAM_MARK, true);
    return true;
  }

  private readFlowKey(command: DataView): boolean {
    const inPort = command.getUint8(F.FLOW_IN_PORT);
    const family = command.getUint8(F.FLOW_FAMILY);
    const proto = command.getUint8(F.FLOW_PROTO);
    const vlan = command.getUint16(F.FLOW_VLAN, true);
    if (inPort >= this.ctx.config.ports) return this.refuse(F.Status.BAD_PORT, F.Detail.KEY_PORT);
    if (family !== 4 && family !== 6) return this.refuse(F.Status.BAD_KEY, F.Detail.KEY_FAMILY);
    if (proto !== PROTO_TCP && proto !== PROTO_UDP)
      return this.refuse(F.Status.BAD_KEY, F.Detail.KEY_PROTOCOL);
    if (vlan !== F.FLOW_NO_VLAN && vlan > 0xfff)
      return this.refuse(F.Status.BAD_KEY, F.Detail.KEY_VLAN);
    const key = this.key.fill(0);
    key[K.X_HEAD] = (inPort << 24) | (family << 16) | (proto << 8);
    key[K.X_PORTS] =
      (command.getUint16(F.FLOW_SPORT, true) << 16) | command.getUint16(F.FLOW_DPORT, true);
    key[K.X_VLAN] = vlan === F.FLOW_NO_VLAN ? 0 : 0x1000 | vlan;
    for (let i = 0; i < (family === 6 ? 4 : 1); i++) {
      key[K.X_SRC + i] = command.getUint32(F.FLOW_SRC + 4 * i);
      key[K.X_DST + i] = command.getUint32(F.FLOW_DST + 4 * i);
    }
    return true;
  }

  private readFlowAction(command: DataView): boolean {
    const flags = command.getUint32(F.FLOW_ACTION_FLAGS, true);
    const verdict = command.getUint8(F.FLOW_VERDICT);
    const outPort = command.getUint8(F.FLOW_OUT_PORT);
    const queue = command.getUint8(F.FLOW_QUEUE);
    if ((flags & ~F.ACTION_FLAGS_ALL) !== 0)
      return this.refuse(F.Status.BAD_ACTION, F.Detail.ACTION_FLAGS);
    const usesQueue = (flags & F.ActionFlag.QUEUE) !== 0;
    if (!this.checkVerdict(verdict, outPort, queue, usesQueue, F.Verdict.TO_HOST)) return false;
    const pops = (flags & F.ActionFlag.POP_VLAN) !== 0;
    if (pops && command.getUint16(F.FLOW_VLAN, true) === F.FLOW_NO_VLAN)
      return this.refuse(F.Status.BAD_ACTION, F.Detail.ACTION_VLAN);
    const action = this.action.fill(0);
    action[A.A_FLAGS] = flags;
    action[A.A_VERDICT] = verdict | (outPort << 8) | (queue << 16);
    action[A.A_MARK] = command.getUint32(F.FLOW_MARK, true);
    for (let i = 0; i < 3; i++) action[A.A_ETH + i] = command.getUint32(F.FLOW_NEW_ETH_DST + 4 * i);
    action[A.A_PORTS] =
      (command.getUint16(F.FLOW_NEW_SPORT, true) << 16) | command.getUint16(F.FLOW_NEW_DPORT, true);
    action[A.A_PUSH_TCI] = command.getUint16(F.FLOW_PUSH_TCI, true);
    action[A.A_MTU] = command.getUint16(F.FLOW_MTU, true);
    action[A.A_FAMILY] = command.getUint8(F.FLOW_FAMILY);
    for (let i = 0; i < 4; i++) {
      action[A.A_SRC + i] = command.getUint32(F.FLOW_NEW_SRC + 4 * i);
      action[A.A_DST + i] = command.getUint32(F.FLOW_NEW_DST + 4 * i);
    }
    return true;
  }

  private checkVerdict(
    verdict: number,
    outPort: number,
    queue: number,
    usesQueue: boolean,
    maxVerdict: number,
  ): boolean {
    if (verdict > maxVerdict) return this.refuse(F.Status.BAD_ACTION, F.Detail.ACTION_VERDICT);
    if (verdict === F.Verdict.OUTPUT && outPort >= this.ctx.config.ports)
      return this.refuse(F.Status.BAD_ACTION, F.Detail.ACTION_PORT);
    if (usesQueue && queue >= this.ctx.config.queues)
      return this.refuse(F.Status.BAD_ACTION, F.Detail.ACTION_QUEUE);
    return true;
  }

  /** Checks table, handle range and result buffer; leaves memory.region and memory.offset at the buffer. */
  private readRange(
    command: DataView,
    bytesPerEntry: number,
    fixedBytes = 0,
  ): { first: number; count: number; stats: EntryStats; isFlow: boolean } | null {
    const table = command.getUint32(F.READ_TABLE, true);
    const first = command.getUint32(F.READ_FIRST, true);
    const count = command.getUint32(F.READ_COUNT, true);
    if (table > F.TABLE_TCAM) {
      this.answer(F.Status.BAD_RANGE, F.Detail.TABLE_ID);
      return null;
    }
    const isFlow = table === F.TABLE_FLOW;
    const size = isFlow ? this.pipeline.flows.capacity : this.pipeline.tcam.entries;
    if (first + count > size) {
      this.answer(F.Status.BAD_RANGE, F.Detail.HANDLE_RANGE);
      return null;
    }
    const bufferBytes = bytesPerEntry === 1 / 8 ? 4 * Math.ceil(count / 32) : bytesPerEntry * count;
    if (!this.ctx.memory.resolve(F.readU64(command, F.READ_IOVA), bufferBytes + fixedBytes)) {
      this.answer(F.Status.DMA_FAULT, F.Detail.BUFFER);
      return null;
    }
    const stats = isFlow ? this.pipeline.flowStats : this.pipeline.tcamStats;
    return { first, count, stats, isFlow };
  }

  private refuse(status: F.Status, detail: F.Detail): boolean {
    this.answer(status, detail);
    return false;
  }
}
