// The ledger of packets: every frame that enters a port gets an id here and ends in exactly one fate.
//
// A slot lives from `begin` to the fate, so memory is bounded by the packets in flight, whatever the capture's size.
// The id holds a generation beside the slot: a late report for a packet that already ended (the second fragment of a
// packet that the router split) is recognised and counted as an extra frame, never charged to the slot's next owner.
// The sum of fates must equal the packets that came in: `check` throws otherwise. Copies that the device makes (mirror, sample,
// group) have ids as packets do, and accounts of their own: their fates add up to the copies made.

import { ModelError } from '../../hw/base/assert.ts';
import type { DeviceObserver, EgressFrame } from '../../hw/observer.ts';
import { DROP_REASONS, MISS_REASONS, MissReason } from '../../hw/pipeline/outcome.ts';
import type { DropReason } from '../../hw/pipeline/outcome.ts';
import { PATH_FAST, STACK_DROPS } from '../stack/outcome.ts';
import type { StackDrop, StackObserver } from '../stack/outcome.ts';
import { TimeHistogram } from './histogram.ts';

/** How a packet ended. */
export const FATES = ['hardware', 'fast-path', 'classic-path', 'local', 'dropped'] as const;
export type Fate = (typeof FATES)[number];

const HARDWARE = 0;
const FAST = 1;
const CLASSIC = 2;
const LOCAL = 3;
const DROPPED = 4;

const SLOT_BITS = 20;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const GENERATION_MASK = 0x7ff;

/** One packet's end, for a tracer. */
export interface FateListener {
  onFate(id: number, fate: Fate, reason: string, atPs: number): void;
}

export class PacketLedger {
  /** What the device reports to. */
  readonly device: DeviceObserver = {
    onEgress: (frame) => this.egress(frame),
    onDrop: (id, _portIndex, reason, atPs) => this.dropInDevice(id, reason, atPs),
    onRx: (id, _port, _queue, _slot, reason) => this.toHost(id, reason),
    onCopy: (id, kind, _port, lenBytes) => this.beginCopy(id, kind, lenBytes),
  };
  /** What the stack reports to. */
  readonly stack: StackObserver = {
    onForward: (id, path) => this.forward(id, path),
    onLocal: (id, what) => this.local(id, what),
    onDrop: (id, reason) => this.dropInStack(id, reason),
  };

  /** Packets and bytes that entered, all ports. */
  inPackets = 0;
  inBytes = 0;
  /** By fate: packets and bytes. */
  readonly fatePackets = new Float64Array(FATES.length);
  readonly fateBytes = new Float64Array(FATES.length);
  /** Copies that the device made, by CopyKind (mirror, sample, group), and their ends by fate. */
  readonly copiesMade = new Float64Array(3);
  readonly copyFates = new Float64Array(FATES.length);
  /** Why hardware handed packets to the host, by MissReason. */
  readonly missPackets = new Float64Array(MISS_REASONS.length);
  /** Device drops by DropReason, software drops by StackDrop, local ends by word. */
  readonly deviceDrops = new Float64Array(DROP_REASONS.length);
  readonly stackDrops = new Float64Array(STACK_DROPS.length);
  readonly localEnds = new Map<string, number>();
  /** Frames that left beyond one per packet (fragments made by the router). */
  extraFrames = 0;
  /** Frames that the host made itself (ICMP errors, ARP, resets). */
  hostFrames = 0;
  /** Time from the first bit in to the last bit out, by forwarding fate. */
  readonly latency = [new TimeHistogram(), new TimeHistogram(), new TimeHistogram()];
  /** Time of the packet now reported, for a listener of drops in software (set by the owner of the clock). */
  clock: { nowPs: number } = { nowPs: 0 };
  listener: FateListener | null = null;
  /** Called for every frame that leaves, before the count (egress captures, tests). */
  onFrame: ((frame: EgressFrame) => void) | null = null;

  /** In-parameter of `end`: when, ps (a field: an argument would be boxed). */
  private endPs = 0;
  private capacity = 0;
  private arrivalPs = new Float64Array(0);
  private lenBytes = new Int32Array(0);
  private generation = new Int32Array(0);
  private alive = new Uint8Array(0);
  private path = new Uint8Array(0);
  private number = new Float64Array(0);
  private copy = new Uint8Array(0);
  private free = new Int32Array(0);
  private freeHead = 0;
  private freeCount = 0;
  private aliveCount = 0;

  /** Packets and copies that have not yet ended. */
  get pending(): number {
    return this.aliveCount;
  }

  /** Opens an account for a frame that arrives now (by `clock`: a time as argument would be boxed); returns its id. */
  begin(packetNumber: number, lenBytes: number): number {
    if (this.freeCount === 0) this.grow();
    const slot = this.free[this.freeHead];
    this.freeHead = (this.freeHead + 1) & (this.capacity - 1);
    this.freeCount--;
    this.arrivalPs[slot] = this.clock.nowPs;
    this.lenBytes[slot] = lenBytes;
    this.alive[slot] = 1;
    this.path[slot] = CLASSIC;
    this.number[slot] = packetNumber;
    this.aliveCount++;
    this.copy[slot] = 0;
    this.inPackets++;
    this.inBytes += lenBytes;
    return (this.generation[slot] << SLOT_BITS) | slot;
  }

  /** Opens an account for a copy of a packet that the device makes. */
  private beginCopy(ofId: number, kind: number, lenBytes: number): number {
    const id = this.begin(this.packetNumber(ofId), lenBytes);
    this.inPackets--;
    this.inBytes -= lenBytes;
    this.copy[id & SLOT_MASK] = 1;
    this.copiesMade[kind]++;
    return id;
  }

  /** Packets and copies that have entered or been made. */
  private get begun(): number {
    return this.copiesMade.reduce((sum, made) => sum + made, this.inPackets);
  }

  /** Copies that have not yet ended. */
  get pendingCopies(): number {
    let open = this.begun - this.inPackets;
    for (const count of this.copyFates) open -= count;
    return open;
  }

  /** Number of the packet in its capture, −1 when the id is not alive. */
  packetNumber(id: number): number {
    return this.isAlive(id) ? this.number[id & SLOT_MASK] : -1;
  }

  /** Way that software took a packet that is alive: 'classic-path' or 'fast-path'. */
  pathName(id: number): Fate {
    return FATES[this.isAlive(id) ? this.path[id & SLOT_MASK] : CLASSIC];
  }

  /** Whether this packet has entered and not yet ended. */
  isAlive(id: number): boolean {
    if (id < 0) return false;
    const slot = id & SLOT_MASK;
    return this.alive[slot] === 1 && this.generation[slot] === id >> SLOT_BITS;
  }

  private egress(frame: EgressFrame): void {
    if (this.onFrame !== null) this.onFrame(frame);
    const id = frame.packetId;
    if (id < 0) {
      this.hostFrames++;
      return;
    }
    if (!this.isAlive(id)) {
      this.extraFrames++;
      return;
    }
    const slot = id & SLOT_MASK;
    const fate = frame.fromHost ? this.path[slot] : HARDWARE;
    if (this.copy[slot] === 0) {
      const latency = this.latency[fate];
      latency.valuePs = frame.endPs - this.arrivalPs[slot];
      latency.recordValue();
    }
    this.endPs = frame.endPs;
    this.end(id, fate, '');
  }

  private toHost(packetId: number, missReason: MissReason): void {
    if (packetId >= 0 && missReason !== MissReason.COPY) this.missPackets[missReason]++;
  }

  private forward(packetId: number, path: number): void {
    if (this.isAlive(packetId))
      this.path[packetId & SLOT_MASK] = path === PATH_FAST ? FAST : CLASSIC;
  }

  private local(packetId: number, what: string): void {
    if (!this.isAlive(packetId)) return;
    if (this.copy[packetId & SLOT_MASK] === 0)
      this.localEnds.set(what, (this.localEnds.get(what) ?? 0) + 1);
    this.endPs = this.clock.nowPs;
    this.end(packetId, LOCAL, what);
  }

  /** Throws unless every packet that came in has one fate or is still in flight. */
  check(): void {
    let sum = this.aliveCount;
    for (const count of this.fatePackets) sum += count;
    for (const count of this.copyFates) sum += count;
    if (sum !== this.begun)
      throw new ModelError(
        `ledger: ${this.inPackets} packets in, ${this.begun - this.inPackets} copies, ${sum} accounted for`,
      );
  }

  private dropInDevice(packetId: number, reason: DropReason, atPs: number): void {
    if (!this.isAlive(packetId)) return;
    if (this.copy[packetId & SLOT_MASK] === 0) this.deviceDrops[reason]++;
    this.endPs = atPs;
    this.end(packetId, DROPPED, DROP_REASONS[reason].name);
  }

  private dropInStack(packetId: number, reason: StackDrop): void {
    if (!this.isAlive(packetId)) return;
    if (this.copy[packetId & SLOT_MASK] === 0) this.stackDrops[reason]++;
    this.endPs = this.clock.nowPs;
    this.end(packetId, DROPPED, STACK_DROPS[reason].name);
  }

  /** Ends a packet at `endPs`. */
  private end(id: number, fate: number, reason: string): void {
    const slot = id & SLOT_MASK;
    if (this.copy[slot] === 1) this.copyFates[fate]++;
    else {
      this.fatePackets[fate]++;
      this.fateBytes[fate] += this.lenBytes[slot];
    }
    if (this.listener !== null) this.listener.onFate(id, FATES[fate], reason, this.endPs);
    this.alive[slot] = 0;
    this.generation[slot] = (this.generation[slot] + 1) & GENERATION_MASK;
    // First in, first out: a slot comes back after at least 4,096 packets, its generation after 8 M.
    this.free[(this.freeHead + this.freeCount++) & (this.capacity - 1)] = slot;
    this.aliveCount--;
  }

  /** Doubles the slots (from none to 4,096 at first); only called when no slot is free. */
  private grow(): void {
    const old = this.capacity;
    const capacity = old === 0 ? 4096 : old * 2;
    if (capacity > SLOT_MASK + 1) throw new ModelError('ledger: more than 1 M packets in flight');
    this.arrivalPs = enlarge(this.arrivalPs, new Float64Array(capacity));
    this.number = enlarge(this.number, new Float64Array(capacity));
    this.lenBytes = enlarge(this.lenBytes, new Int32Array(capacity));
    this.generation = enlarge(this.generation, new Int32Array(capacity));
    this.alive = enlarge(this.alive, new Uint8Array(capacity));
    this.path = enlarge(this.path, new Uint8Array(capacity));
    this.copy = enlarge(this.copy, new Uint8Array(capacity));
    this.free = new Int32Array(capacity);
    for (let slot = old; slot < capacity; slot++) this.free[slot - old] = slot;
    this.freeHead = 0;
    this.freeCount = capacity - old;
    this.capacity = capacity;
  }
}

function enlarge<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
