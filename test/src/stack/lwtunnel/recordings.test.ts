// Flow-based tunnel devices against recordings of a real Linux: behind routes with `encap ip`, and on receive (as ports of a datapath:
// test/src/scenario/ovs-recording.test.ts). Frames to the byte, but for the UDP source port, which is a hash with the boot's key.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sameFrame } from '../../../../src/scenario/recording/compare.ts';
import { parseRecording } from '../../../../src/scenario/recording/format.ts';
import type { RecordingReport } from '../../../../src/scenario/recording/player.ts';
import { playRecording } from '../../../../src/scenario/recording/player.ts';

const FOLDER = new URL('../../../../fixtures/recordings/', import.meta.url);

interface Steps {
  setup: (string | { cmd: string })[];
  steps: { name: string; run?: { cmd: string }[] }[];
}

function play(path: string, change: (recording: Steps) => void): RecordingReport {
  const recording = JSON.parse(readFileSync(new URL(path, FOLDER), 'utf8')) as Steps;
  change(recording);
  return playRecording(parseRecording(JSON.stringify(recording), path));
}

/** Without what the model does not have: routed GRE, IPIP, MPLS, segment routing. */
function onlyTunnels(recording: Steps): void {
  recording.setup = recording.setup.filter(
    (one) =>
      !/\bgre1|ipip1|ip6gretap1|mpls|seg6|fd00:5::/.test(typeof one === 'string' ? one : one.cmd),
  );
  recording.steps = recording.steps.filter(({ name }) =>
    /^(vxlan|geneve|gretap|after|plain)/.test(name),
  );
}

describe('flow-based tunnels as recorded', () => {
  it('behind routes with encap ip and ip6', () => {
    const report = play('lwtunnel/lwtunnel.json', (recording) => {
      onlyTunnels(recording);
      const mtu = 'ip link set vxlan0 mtu 1450';
      recording.setup = recording.setup.filter((one) => one !== mtu);
      const first = recording.steps.find(({ name }) => name.startsWith('vxlan mtu 1450'));
      if (first !== undefined) first.run = [{ cmd: mtu }];
    });
    expect(report.differences).toEqual([]);
    expect(report.compared.frames).toBe(41);
  });

  it('received by the host: header checks, ECN, delivery, an answer through the tunnel', () => {
    const report = play('lwtunnel/lwtunnel-rx.json', onlyTunnels);
    expect(report.differences).toEqual([]);
    expect(report.compared.frames).toBe(16);
  });
});

describe('comparison of tunnelled frames', () => {
  const own = new Set(['ac100001']);
  const frame =
    '020000000302020000000301080045000051b4fe400040112d7aac100001ac100002aa7212b5003d0000080000000000640002000000000b' +
    '02000000000a08004500001f00074000401126c50a0000010a00000203e807d0000bfda66f7673';

  it('leaves the source port free, but not the port, the VNI or the packet inside', () => {
    const changed = (at: number): string => frame.slice(0, 2 * at) + 'ee' + frame.slice(2 * at + 2);
    expect(sameFrame(frame, changed(34), own)).toBe(true);
    expect(sameFrame(frame, changed(34), new Set())).toBe(false);
    for (const at of [5, 22, 33, 37, 40, 42, 48, 60, 80])
      expect(sameFrame(frame, changed(at), own)).toBe(false);
  });
});
