// Plays a recording of tun queues (tun-format.ts) on the emulated machine and compares every choice of queue, every errno and every
// listing.
//
// What a recording does not hold, and how it is filled in: the frames (UDP flows with ports of the lab's own; where the recording
// names ports, those), the hash of untaught flows (tun-lab.ts: a flow's first choice defines it, all others are compared), and at
// which fraction of a second a flow was taught, on which its expiry depends (twenty fractions are tried: one must explain all
// that was seen). Tests that go on where the one before left off follow at once; before the others all that was learned expires.
//
// It is played twice: first to gather what is said about hashes, then to compare. A test whose name is not known is reported, not
// skipped.

import { errnoName } from '../../../driver/errno.ts';
import { IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE } from '../../stack/tun/uapi.ts';
import type { BpfCode } from '../../stack/tun/bpf/insn.ts';
import { returningField, returningNumber } from './tun-programs.ts';
import { FORGET_S, TunComparison } from './tun-comparison.ts';
import type { TunReport } from './tun-comparison.ts';
import { HashKnowledge, LabDevice } from './tun-lab.ts';
import type { LabFlow } from './tun-lab.ts';
import type { TunTest } from './tun-format.ts';

const FLOWS_MAX = 4096;

type Handler = (test: TunTest, match: RegExpExecArray) => void;

export function playTunRecording(tests: readonly TunTest[]): TunReport {
  const knowledge = new HashKnowledge();
  new TunPlayer(tests, knowledge, true).play();
  return new TunPlayer(tests, knowledge, false).play();
}

class TunPlayer extends TunComparison {
  private readonly tests: readonly TunTest[];
  private readonly tap = new LabDevice('tap0', true);
  private readonly tun = new LabDevice('tun0', false);
  private readonly later = new LabDevice('tap1', true);
  /** The flow that a test of detaching taught, and on which position. */
  private moved: { flow: LabFlow; position: number } = { flow: numbered(90), position: 0 };
  private movedFlows: LabFlow[] = [];
  private ports: readonly [number, number] = [5000, 5015];

  /** By name, in the order tried; the first word says whether the test begins afresh or goes on. */
  private readonly handlers: readonly (readonly ['afresh' | 'on', RegExp, Handler])[] = [
    ['afresh', /^link$/, (test) => this.link(test)],
    ['afresh', /^unknown flows$/, (test) => this.unknownFlows(test)],
    ['afresh', /^expiry, replies every/, (test) => this.expiry(test)],
    ['afresh', /^expiry, no traffic in between$/, (test) => this.quietExpiry(test)],
    ['afresh', /^taught again each (?:([\d.]+) )?s/, (test, m) => this.taughtAgain(test, m)],
    ['afresh', /^taught by \d+(?:, then \d+)*$/, (test) => this.taughtBy(test)],
    ['afresh', /^taught with sport (\d+) dport (\d+); sent/, (t, m) => this.reverse(t, m)],
    ['afresh', /^another flow after teaching$/, (test) => this.anotherFlow(test)],
    ['afresh', /^queue (\d+) detached$/, (test, m) => this.detached(test, m)],
    ['on', /^queue (\d+) attached again$/, (test, m) => this.attached(test, m)],
    ['on', /^and taught$/, (test) => this.andTaught(test)],
    ['afresh', /^queue (\d+) detached with flows/, (t, m) => this.detachedWithFlows(t, m)],
    ['on', /^queue (\d+) attached again, taught/, (t, m) => this.attachedAndTaught(t, m)],
    ['on', /^queue (\d+) closed and a new one opened/, (t, m) => this.reopened(t, m)],
    ['afresh', /^(\d+) flows taught to queue (\d+)$/, (test, m) => this.manyFlows(test, m)],
    ['afresh', /^steering: return (-?\d+)$/, (t, m) => this.program(t, returningNumber(+m[1]))],
    [
      'afresh',
      /^steering: return the (byte|half-?word|word) at (\d+)/,
      (test, m) => this.program(test, returningField(m[1], +m[2])),
    ],
    ['on', /^taught while a program steers$/, (test) => this.taughtUnderProgram(test)],
    ['afresh', /^steering removed/, (test) => this.programRemoved(test)],
    ['afresh', /^multi_queue with one queue$/, (test) => this.oneQueue(test)],
    ['on', /^a second queue opened$/, (test) => this.secondQueue(test)],
    ['afresh', /^second open (with|without) multi_queue/, (t, m) => this.secondOpen(t, m)],
    ['afresh', /^(\d+) queues/, (test, m) => this.manyQueues(test, m)],
    ['afresh', /^persistent multi_queue device$/, (test) => this.persistent(test)],
  ];

  constructor(tests: readonly TunTest[], knowledge: HashKnowledge, learning: boolean) {
    super(tests.length, knowledge, learning);
    this.tests = tests;
  }

  play(): TunReport {
    for (const test of this.tests) {
      this.current = test.test;
      const known = this.handlers.find(([, pattern]) => pattern.test(test.test));
      const match = known?.[1].exec(test.test) ?? null;
      if (known === undefined || match === null) {
        this.report.unknown.push(test.test);
        continue;
      }
      if (known[0] === 'afresh') this.lab.pass(FORGET_S);
      known[2](test, match);
    }
    this.report.defining = this.knowledge.flows;
    // What defined a hash was counted as compared: it could not differ.
    this.report.compared -= this.report.defining;
    return this.report;
  }

  // ---- devices ----

  private deviceOf(test: TunTest): LabDevice {
    const device = test.mode === 'tun' ? this.tun : this.tap;
    this.ensure(device);
    return device;
  }

  /** A device with four queues, up. */
  private ensure(device: LabDevice, queues = 4, ifindex = 0): void {
    if (device.fds.length > 0) return;
    this.lab.run('sysctl -w net.ipv6.conf.default.addr_gen_mode=1');
    for (let i = 0; i < queues; i++) this.lab.open(device, true, i === 0 ? ifindex : 0);
    this.lab.run(`ip link set ${device.name} up`);
  }

  private link(test: TunTest): void {
    const recorded = test.link ?? {};
    const device = test.mode === 'tun' ? this.tun : this.tap;
    this.ensure(device, queuesOf(recorded), Number(recorded['ifindex'] ?? 0));
    const address = recorded['address'];
    if (typeof address === 'string') this.lab.run(`ip link set ${device.name} address ${address}`);
    this.compareLink(device.name, recorded);
  }

  private compareLink(name: string, recorded: Record<string, unknown>): void {
    const text = this.lab.run(`ip -d -j link show ${name}`);
    const [found] = JSON.parse(text) as Record<string, unknown>[];
    const { ifname } = recorded;
    for (const key of new Set([...Object.keys(recorded), ...Object.keys(found)])) {
      const expected = key === 'ifname' && ifname !== name ? name : recorded[key];
      this.same(`link ${key}`, expected ?? '(not there)', found[key] ?? '(not there)');
    }
  }

  private persistent(test: TunTest): void {
    const recorded = test.link ?? {};
    const name = typeof recorded['ifname'] === 'string' ? recorded['ifname'] : 'tap4';
    for (const device of [this.tap, this.tun, this.later]) this.lab.closeAll(device);
    const lab = this.lab;
    const file = lab.openFd(new LabDevice(name, true), true, Number(recorded['ifindex'] ?? 0));
    lab.stack.tun.ioctl(file, 'TUNSETPERSIST', 1);
    lab.stack.tun.close(file);
    if (typeof recorded['address'] === 'string')
      lab.run(`ip link set ${name} address ${recorded['address']}`);
    lab.run(`ip link set ${name} up`);
    this.compareLink(name, recorded);
    if (test.text !== undefined)
      this.same('text', test.text, lab.run(`ip -d link show ${name}`) + lab.run('ip tuntap'));
  }

  // ---- learning and expiry ----

  private unknownFlows(test: TunTest): void {
    const device = this.deviceOf(test);
    const recorded = test.queues ?? [];
    const flows = recorded.map((_v, i) => numbered(i));
    this.comesHome('flow', device, flows, recorded);
    if (test.again === true) this.comes('again', device, flows, recorded);
  }

  /** One fraction of a second must explain all that was seen. */
  private expiry(test: TunTest): void {
    const device = this.deviceOf(test);
    const flow = numbered(80);
    const { home = 0, taught = 0, seen = [] } = test;
    this.comesHome('home', device, [flow], [home]);
    this.tryPhases(
      seen.map(([, position]) => position),
      () => {
        this.lab.teach(device, taught, flow);
        const start = this.lab.nowS;
        return seen.map(([atS]) => {
          this.lab.pass(Math.max(0, start + atS - this.lab.nowS));
          return this.lab.cameOn(device, flow);
        });
      },
    );
  }

  private quietExpiry(test: TunTest): void {
    const device = this.deviceOf(test);
    const flow = numbered(80);
    if (test.after === undefined || Array.isArray(test.after)) return;
    const taught = Object.values(test.after)[0];
    for (const [after, position] of Object.entries(test.after))
      this.tryPhases([position], () => {
        this.lab.teach(device, taught, flow);
        this.lab.pass(Number(after));
        return [this.lab.cameOn(device, flow)];
      });
  }

  private taughtAgain(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    const flow = numbered(80);
    const everyS = match[1] === undefined ? 1 : Number(match[1]);
    const seen = test.seen ?? [];
    const taught = seen[0]?.[1] ?? 0;
    const start = this.lab.nowS;
    let nextS = 0;
    for (const [atS, position] of seen) {
      for (; nextS <= atS; nextS += everyS) {
        this.lab.pass(Math.max(0, start + nextS - this.lab.nowS));
        this.lab.teach(device, taught, flow);
      }
      this.lab.pass(Math.max(0, start + atS - this.lab.nowS));
      this.same(`at ${atS} s`, position, this.lab.cameOn(device, flow));
    }
  }

  private taughtBy(test: TunTest): void {
    const device = this.deviceOf(test);
    const flow = numbered(81);
    const teachers = (test.test.match(/\d+/g) ?? []).map(Number);
    const came = list(test.came);
    teachers.forEach((position, i) => {
      this.teach(device, position, flow);
      this.comes(`after ${position}`, device, [flow], [came[i]]);
    });
  }

  /** Taught in one direction, sent in the other; its home is put elsewhere, so that only learning explains the queue. */
  private reverse(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    const [position] = list(test.came);
    const sent = /from sport (\d+) to (\d+)/.exec(test.test);
    const flow = { srcPort: Number(sent?.[1]), dstPort: Number(sent?.[2]) };
    const straight = flow.srcPort === Number(match[2]) && flow.dstPort === Number(match[1]);
    this.same('ports', true, straight);
    if (this.learning) this.lab.learnHome(device, flow, (position + 1) % device.fds.length);
    this.teach(device, position, flow);
    this.comes('came', device, [flow], [position]);
  }

  private anotherFlow(test: TunTest): void {
    const device = this.deviceOf(test);
    const [position] = list(test.came);
    const flow = numbered(82);
    this.teach(device, (position + 1) % device.fds.length, numbered(83));
    this.comesHome('came', device, [flow], [position]);
    if (typeof test.again === 'number') this.comes('again', device, [flow], [test.again]);
  }

  private manyFlows(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    const [count, teacher] = [Number(match[1]), Number(match[2])];
    const flow = (n: number): LabFlow => ({ srcPort: 20_000 + n, dstPort: 10 });
    for (let n = 0; n < count; n++) this.lab.teach(device, teacher, flow(n));
    this.same('entries', Math.min(count, FLOWS_MAX), this.lab.device(device).flows.count);
    if (typeof test.came !== 'object' || Array.isArray(test.came)) return;
    for (const [number, position] of Object.entries(test.came)) {
      const n = Number(number);
      if (n < FLOWS_MAX) this.comes(`flow ${n}:`, device, [flow(n)], [position]);
      else this.comesHome(`flow ${n}:`, device, [flow(n)], [position]);
    }
  }

  // ---- detaching ----

  private detached(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    const position = Number(match[1]);
    const flow = numbered(90);
    this.moved = { flow, position };
    this.teach(device, position, flow);
    if (typeof test.before === 'number') this.comes('before', device, [flow], [test.before]);
    this.same('detach', 'done', this.lab.setQueue(device, position, IFF_DETACH_QUEUE));
    const after = Array.isArray(test.after) ? test.after : [];
    this.comes(
      'after',
      device,
      after.map(() => flow),
      after,
    );
    if (test.write_on_detached !== undefined)
      this.same('write', test.write_on_detached, this.lab.teach(device, position, numbered(91)));
    const spread = test.spread ?? [];
    this.comesHome(
      'spread',
      device,
      spread.map((_v, i) => numbered(i)),
      spread,
    );
  }

  private attached(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    this.same('attach', 'done', this.lab.setQueue(device, Number(match[1]), IFF_ATTACH_QUEUE));
    const came = list(test.came);
    this.comes(
      'came',
      device,
      came.map(() => this.moved.flow),
      came,
    );
  }

  private andTaught(test: TunTest): void {
    const device = this.deviceOf(test);
    this.teach(device, this.moved.position, this.moved.flow);
    this.comes('came', device, [this.moved.flow], list(test.came));
  }

  private detachedWithFlows(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    const before = list(test.before);
    this.movedFlows = before.map((_v, i) => numbered(92 + i));
    const { movedFlows: flows } = this;
    flows.forEach((flow, position) => this.teach(device, position, flow));
    this.comes('before', device, flows, before);
    const detached = this.lab.setQueue(device, Number(match[1]), IFF_DETACH_QUEUE);
    this.same('detach', 'done', detached);
    this.comes('after', device, flows, Array.isArray(test.after) ? test.after : []);
    flows.forEach((flow, position) => this.teach(device, position, flow));
    this.comes('taught again', device, flows, test.taught_again ?? []);
  }

  private attachedAndTaught(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    this.same('attach', 'done', this.lab.setQueue(device, Number(match[1]), IFF_ATTACH_QUEUE));
    this.movedFlows.forEach((flow, position) => this.teach(device, position, flow));
    this.comes('came', device, this.movedFlows, list(test.came));
  }

  /** "untaught": not taught anew since the queue was closed; what was learned before still holds, by index. */
  private reopened(test: TunTest, match: RegExpExecArray): void {
    const device = this.deviceOf(test);
    const position = Number(match[1]);
    this.lab.stack.tun.close(device.fds[position]);
    device.fds[position] = this.lab.openFd(device, true);
    const index = /but index (\d+)/.exec(test.test);
    if (index !== null) this.same('index', Number(index[1]), this.lab.indexOf(device, position));
    this.comes('untaught', device, this.movedFlows, test.untaught ?? []);
  }

  // ---- programs ----

  private program(test: TunTest, code: BpfCode): void {
    const device = this.deviceOf(test);
    const fd = this.lab.stack.tun.bpfProgLoad('socket_filter', code);
    this.same('load', 'done', typeof fd === 'number' ? 'done' : fd.message);
    if (typeof fd !== 'number') return;
    this.setProgram(device, fd);
    this.ports = test.ports ?? this.ports;
    this.comes('came', device, this.portFlows(), list(test.came));
  }

  private setProgram(device: LabDevice, fd: number): void {
    const pointer = new Uint8Array(4);
    new DataView(pointer.buffer).setInt32(0, fd, true);
    const error = this.lab.stack.tun.ioctl(device.fds[0], 'TUNSETSTEERINGEBPF', pointer);
    this.same('ioctl', 0, error);
  }

  private portFlows(): LabFlow[] {
    const [low, high] = this.ports;
    return Array.from({ length: high - low + 1 }, (_v, i) => ({ srcPort: 77, dstPort: low + i }));
  }

  private taughtUnderProgram(test: TunTest): void {
    const device = this.deviceOf(test);
    const [came] = list(test.came);
    const [flow] = this.portFlows();
    this.teach(device, (came + 1) % device.fds.length, flow);
    this.same('entries', 0, this.lab.device(device).flows.count);
    this.comes('came', device, [flow], [came]);
  }

  private programRemoved(test: TunTest): void {
    const device = this.deviceOf(test);
    this.setProgram(device, -1);
    const flows = this.portFlows();
    this.comesHome('came', device, flows, list(test.came));
    if (Array.isArray(test.again)) this.comes('again', device, flows, test.again);
  }

  // ---- numbers of queues ----

  private oneQueue(test: TunTest): void {
    this.ensure(this.later, 1);
    const came = list(test.came);
    this.comes(
      'came',
      this.later,
      came.map((_v, i) => numbered(i)),
      came,
    );
  }

  private secondQueue(test: TunTest): void {
    this.ensure(this.later, 1);
    this.lab.open(this.later, true);
    const came = list(test.came);
    this.comesHome(
      'came',
      this.later,
      came.map((_v, i) => numbered(i)),
      came,
    );
  }

  private secondOpen(test: TunTest, match: RegExpExecArray): void {
    const single = new LabDevice('tap2', true);
    this.lab.open(single, false);
    const fd = this.lab.openFd(single, match[1] === 'with');
    this.same('result', test.result, fd < 0 ? errnoName(fd) : 'opened');
    this.lab.closeAll(single);
  }

  /** So many queues can be opened, and what the next one gets. */
  private manyQueues(test: TunTest, match: RegExpExecArray): void {
    const device = new LabDevice('tap3', true);
    const count = Number(match[1]);
    let result = 'opened';
    for (let i = 0; i <= count && result === 'opened'; i++) {
      const fd = this.lab.open(device, true);
      if (fd < 0) result = errnoName(fd);
    }
    this.same('queues', count, device.fds.length);
    if (test.result !== undefined) this.same('result', test.result, result);
    this.lab.closeAll(device);
  }
}

/** Flow number `n` of the lab. */
function numbered(n: number): LabFlow {
  return { srcPort: 3000 + n, dstPort: 9 };
}

function list(came: TunTest['came'] | TunTest['before']): number[] {
  if (came === undefined) return [];
  if (typeof came === 'number') return [came];
  return Array.isArray(came) ? came : Object.values(came);
}

function queuesOf(link: Record<string, unknown>): number {
  const info = link['linkinfo'] as { info_data?: { numqueues?: number } } | undefined;
  return info?.info_data?.numqueues ?? 1;
}
