// The IP layer against a recorded router (fixtures/recordings): every frame that came out of Linux 6.1 must come out here, to
// the byte. Masked, as the recording's own README says: IPv4 id and checksum of packets that the router makes itself, IPv6 flow
// label, identification of IPv6 fragments. Of netfilter only reassembly is hooked in, as nf_defrag does.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NF_ACCEPT, NF_INET_PRE_ROUTING, NF_STOLEN } from '../../../src/stack/netfilter/hooks.ts';
import type { SentFrame } from '../../support/stack-rig.ts';
import { StackRig } from '../../support/stack-rig.ts';

interface Step {
  t: number;
  name: string;
  run?: { cmd: string }[];
  in?: { port: string; frame: string };
  out?: SentFrame[];
}

interface Recording {
  wires: Record<string, { device: string; mac: string; mtu: number }>;
  setup: (string | { cmd: string })[];
  steps: Step[];
}

function load(name: string): Recording {
  const url = new URL(`../../../fixtures/recordings/flowtable/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as Recording;
}

/** Commands about conntrack, nft and its sysctls belong to netfilter. */
function isIpCommand(cmd: string): boolean {
  return cmd.startsWith('ip ') || (cmd.startsWith('sysctl ') && !cmd.includes('netfilter'));
}

function rigFor(recording: Recording): StackRig {
  const rig = new StackRig();
  for (const [port, wire] of Object.entries(recording.wires))
    rig.addPort(port, wire.device, wire.mac, wire.mtu);
  const { stack } = rig;
  for (const family of [2, 10])
    stack.hooks.register(family, NF_INET_PRE_ROUTING, {
      name: 'defrag',
      priority: -400,
      run: (skb) =>
        (family === 2 ? stack.defrag.ipv4(skb) : stack.defrag.ipv6(skb)) === null
          ? NF_STOLEN
          : NF_ACCEPT,
    });
  for (const step of recording.setup) {
    const cmd = typeof step === 'string' ? step : step.cmd;
    if (isIpCommand(cmd)) rig.must(cmd);
  }
  return rig;
}

const ROUTER4 = ['c0a80101', '0a000001'];

/** Blanks what two recordings differ in. */
function masked({ port, frame }: SentFrame): string {
  const type = frame.slice(24, 28);
  let text = frame;
  if (type === '0800' && ROUTER4.includes(frame.slice(52, 60)))
    text = `${frame.slice(0, 36)}....${frame.slice(40, 48)}....${frame.slice(52)}`;
  if (type === '86dd') {
    const own = frame.slice(44, 76).endsWith('0001');
    if (own) text = `${frame.slice(0, 31)}.....${frame.slice(36)}`;
    if (frame.slice(40, 42) === '2c') text = `${text.slice(0, 116)}........${text.slice(124)}`;
  }
  return `${port} ${text}`;
}

/** Frames per step: between ports the order was not recorded. */
function sorted(frames: readonly SentFrame[]): string[] {
  return ['c', 's'].flatMap((port) => frames.filter((f) => f.port === port).map(masked));
}

function isArp({ frame }: SentFrame): boolean {
  return frame.slice(24, 28) === '0806';
}

/** Plays a recording; retries of ARP are sent by a timer, so they are compared over the whole run, all else step by step. */
function play(name: string): void {
  const recording = load(name);
  const rig = rigFor(recording);
  rig.take();
  const arps: SentFrame[] = [];
  for (let i = 0; i < recording.steps.length; i++) {
    const step = recording.steps[i];
    rig.runTo(step.t);
    for (const { cmd } of step.run ?? []) if (isIpCommand(cmd)) rig.must(cmd);
    if (step.in) rig.receive(step.in.port, step.in.frame);
    const next = recording.steps[i + 1];
    rig.runTo(next === undefined ? step.t + 0.3 : next.t - 0.001);
    const sent = rig.take();
    arps.push(...sent.filter(isArp));
    const expected = (step.out ?? []).filter((f) => !isArp(f));
    const got = sent.filter((f) => !isArp(f));
    expect(sorted(got), `${step.t} ${step.name}`).toEqual(sorted(expected));
  }
  const recordedArps = recording.steps.flatMap((s) => s.out ?? []).filter(isArp);
  expect(arps).toEqual(recordedArps);
  expect(rig.liveCount).toBe(0);
}

describe('recorded router', () => {
  it('classic-plain: every frame of IPv4', () => {
    play('classic-plain.json');
  });

  it('classic-v6: every frame of IPv6', () => {
    play('classic-v6.json');
  });

  it('timeouts: neighbours, routes, MTU and links', () => {
    play('timeouts.json');
  });
});
