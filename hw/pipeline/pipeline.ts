// The packet pipeline: parse, TCAM stage, exact-match flow stage, actions. THE HOT PATH of frames that stay in hardware.
//
// Order for every received frame that passed the MAC filter:
//   1. parse into one flow key;
//   2. TCAM stage (ACL and steering), unless the port's table stages are off: the lowest position that matches says
//      drop, to host, output, or continue (with a queue or mark for later);
//   3. flow stage: gates first, each with its MissReason in the order of `gate`, then the exact-match table; an entry's
//      MTU and TCP FIN or RST are looked at only after a hit, so that those reasons mean "would have matched";
//   4. the entry's actions rewrite the frame in place.
// Latencies are cycles of PipelineConfig; the pipeline accepts one packet per interval (a busy-until time line).
// Left out: recirculation, several tables, meters. TCAM output does not rewrite.

import { MissReason } from './outcome.ts';
import { Verdict } from '../admin/format.ts';
import type { NicConfig } from '../models.ts';
import { Timeline } from '../time/timeline.ts';
import { cyclePs } from '../time/units.ts';
import * as K from '../parse/key-layout.ts';
import { parseFrame } from '../parse/parser.ts';
import { ExactMatchTable } from '../table/exact-match.ts';
import { Tcam } from '../table/tcam.ts';
import { EntryStats } from '../table/entry-stats.ts';
import {
  ACTION_WORDS,
  ActionRam,
  A_FLAGS,
  A_MARK,
  A_MTU,
  A_VERDICT,
} from '../action/action-ram.ts';
import { ActionExecutor } from '../action/execute.ts';
import { ActionFlag } from '../admin/format.ts';
import { PROTO_TCP, PROTO_UDP, TCP_FIN, TCP_RST } from '../wire/headers.ts';

const NO_MAC = 0xffffffff;

export class Pipeline {
  readonly key = new Uint32Array(K.KEY_WORDS);
  readonly flows: ExactMatchTable;
  readonly flowStats: EntryStats;
  readonly flowActions: ActionRam;
  readonly tcam: Tcam;
  readonly tcamStats: EntryStats;
  readonly tcamActions: ActionRam;
  readonly executor: ActionExecutor;
  readonly line = new Timeline();

  /** In: the frame is in the buffer. Out: the packet leaves the pipeline. ps; fields, since arguments are boxed. */
  timePs = 0;

  // Results of `process`.
  verdict: number = Verdict.TO_HOST;
  outPort = -1;
  /** Queue that a rule chose, −1 for RSS. */
  queueIndex = -1;
  mark = 0;
  hasMark = false;
  missReason: number = MissReason.NONE;
  /** Flow entry found, −1 for none (also set when a gate after the hit sent the packet up). */
  flowHandle = -1;
  /** TCAM position that matched, −1 for none. */
  tcamPosition = -1;
  actionFlags = 0;

  // Per port, set by the functions and the admin queue.
  readonly isFlowEnabled: Uint8Array;
  readonly portMtuBytes: Int32Array;
  private readonly macHi: Uint32Array;
  private readonly macLo: Uint32Array;

  private readonly exactKey = new Uint32Array(K.EXACT_KEY_WORDS);
  private readonly tcamKey = new Uint32Array(K.TCAM_WORDS);
  private readonly checksDmac: boolean;
  private readonly intervalPs: number;
  private readonly parserBasePs: number;
  private readonly parserHeaderPs: number;
  private readonly tcamPs: number;
  private readonly exactPs: number;
  private readonly actionPs: number;

  constructor(config: NicConfig, packetBytes: Uint8Array) {
    const exact = config.exactMatch;
    this.flows = new ExactMatchTable(exact.entries, exact.ways, exact.stashEntries, exact.maxKicks);
    this.flowStats = new EntryStats(exact.entries);
    this.flowActions = new ActionRam(exact.entries);
    this.tcam = new Tcam(config.tcam.entries);
    this.tcamStats = new EntryStats(config.tcam.entries);
    this.tcamActions = new ActionRam(config.tcam.entries);
    this.executor = new ActionExecutor(packetBytes);
    this.isFlowEnabled = new Uint8Array(config.ports).fill(1);
    this.portMtuBytes = new Int32Array(config.ports);
    this.macHi = new Uint32Array(config.ports).fill(NO_MAC);
    this.macLo = new Uint32Array(config.ports);
    this.checksDmac = config.flowStageChecksDmac;
    const p = config.pipeline;
    const cycle = cyclePs(p.clockMhz);
    this.intervalPs = p.intervalCycles * cycle;
    this.parserBasePs = p.parserBaseCycles * cycle;
    this.parserHeaderPs = p.parserHeaderCycles * cycle;
    this.tcamPs = p.tcamCycles * cycle;
    this.exactPs = p.exactCycles * cycle;
    this.actionPs = p.actionCycles * cycle;
  }

  /** Sets a port's own address; null while RAH0.AV is clear. */
  setMac(portIndex: number, mac: { hi: number; lo: number } | null): void {
    this.macHi[portIndex] = mac === null ? NO_MAC : mac.hi;
    this.macLo[portIndex] = mac === null ? 0 : mac.lo;
  }

  /** Parses a frame in packet memory into `key`; MAC filter and `process` follow. */
  parse(view: DataView, at: number, lenBytes: number, portIndex: number): void {
    parseFrame(view, at, lenBytes, portIndex, this.key);
    this.executor.at = at;
    this.executor.lenBytes = lenBytes;
  }

  /**
   * Runs the table stages on the parsed frame (executor.at, executor.lenBytes), which is in the buffer at `timePs`;
   * sets the result fields and `timePs`.
   */
  process(portIndex: number): void {
    // Timeline.reserve by hand: where it is not inlined, it boxes three times a packet.
    const line = this.line;
    line.freePs = (this.timePs > line.freePs ? this.timePs : line.freePs) + this.intervalPs;
    line.busyPs += this.intervalPs;
    const startPs = line.freePs - this.intervalPs;
    this.timePs =
      startPs + this.parserBasePs + this.parserHeaderPs * this.key[K.K_HEADERS] + this.actionPs;
    this.verdict = Verdict.TO_HOST;
    this.outPort = -1;
    this.queueIndex = -1;
    this.mark = 0;
    this.hasMark = false;
    this.flowHandle = -1;
    this.tcamPosition = -1;
    this.actionFlags = 0;
    if (this.isFlowEnabled[portIndex] === 0) {
      this.missReason = MissReason.OFFLOAD_DISABLED;
      return;
    }
    this.missReason = MissReason.NONE;
    this.timePs += this.tcamPs;
    if (this.tcam.count > 0 && this.tcamStage()) return;
    this.timePs += this.exactPs;
    this.missReason = this.flowStage(portIndex);
  }

  /** True when the TCAM decided the packet's way. */
  private tcamStage(): boolean {
    K.buildTcamKey(this.key, this.tcamKey);
    const position = this.tcam.lookup(this.tcamKey);
    if (position < 0) return false;
    this.tcamPosition = position;
    const handle = this.tcam.handleAt[position];
    this.tcamStats.hit(handle, this.executor.lenBytes, this.timePs);
    const words = this.tcamActions.words;
    const verdict = this.takeAction(words, handle * ACTION_WORDS);
    if (verdict === Verdict.CONTINUE) return false;
    this.verdict = verdict;
    if (verdict === Verdict.TO_HOST) this.missReason = MissReason.ACTION_TO_HOST;
    return true;
  }

  /** Reads flags, queue, mark and egress port of an action; returns its verdict. */
  private takeAction(words: Uint32Array, at: number): number {
    const flags = words[at + A_FLAGS];
    const packed = words[at + A_VERDICT];
    this.actionFlags = flags;
    if ((flags & ActionFlag.QUEUE) !== 0) this.queueIndex = (packed >>> 16) & 255;
    if ((flags & ActionFlag.MARK) !== 0) {
      this.mark = words[at + A_MARK];
      this.hasMark = true;
    }
    const verdict = packed & 255;
    if (verdict === Verdict.OUTPUT) this.outPort = (packed >>> 8) & 255;
    return verdict;
  }

  /** Gates, table, actions: NONE when the packet's way is decided by an entry, else why not. */
  private flowStage(portIndex: number): number {
    const gated = this.gate(portIndex);
    if (gated !== MissReason.NONE) return gated;
    K.buildExactKey(this.key, this.exactKey);
    const handle = this.flows.lookup(this.exactKey);
    if (handle < 0) return MissReason.NO_ENTRY;
    this.flowHandle = handle;
    const words = this.flowActions.words;
    const at = handle * ACTION_WORDS;
    const packed = words[at + A_VERDICT];
    const l3Len = this.key[K.K_L3_LEN];
    const mtu = words[at + A_MTU];
    if (mtu !== 0 && l3Len > mtu) return MissReason.MTU;
    if ((packed & 255) === Verdict.OUTPUT) {
      const portMtu = this.portMtuBytes[(packed >>> 8) & 255];
      if (portMtu !== 0 && l3Len > portMtu) return MissReason.MTU;
    }
    if ((this.key[K.K_TCP_FLAGS] & (TCP_FIN | TCP_RST)) !== 0) return MissReason.TCP_FLAGS;
    this.flowStats.hit(handle, this.executor.lenBytes, this.timePs);
    this.verdict = this.takeAction(words, at);
    if (this.verdict === Verdict.TO_HOST) return MissReason.ACTION_TO_HOST;
    if (this.verdict === Verdict.OUTPUT) this.executor.run(words, at, this.key);
    return MissReason.NONE;
  }

  /** Packets that the flow stage does not look up, in the order of the checks. */
  private gate(portIndex: number): number {
    const key = this.key;
    const flags = key[K.K_FLAGS];
    if ((flags & (K.PARSE_MALFORMED | K.PARSE_IP_CHECKSUM_BAD)) !== 0) return MissReason.MALFORMED;
    if ((flags & K.PARSE_MULTICAST) !== 0) return MissReason.MULTICAST;
    if (key[K.K_VLAN_COUNT] > 1) return MissReason.VLAN;
    if (key[K.K_FAMILY] === 0) return MissReason.NOT_IP;
    if (
      this.checksDmac &&
      (key[K.K_ETH_DST_LO] !== this.macLo[portIndex] ||
        key[K.K_ETH_DST_HI] !== this.macHi[portIndex])
    )
      return MissReason.NOT_ADDRESSED;
    if ((flags & K.PARSE_FRAGMENT) !== 0) return MissReason.FRAGMENT;
    if ((flags & K.PARSE_IP_OPTIONS) !== 0) return MissReason.IP_OPTIONS;
    if ((flags & K.PARSE_EXTENSION) !== 0) return MissReason.EXTENSION_HEADER;
    const proto = key[K.K_PROTO];
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return MissReason.L4_PROTOCOL;
    if (key[K.K_TTL] <= 1) return MissReason.TTL;
    return MissReason.NONE;
  }
}
