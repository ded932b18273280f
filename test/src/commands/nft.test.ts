// nft(8) against recordings of nftables 1.0.6: listings as text and JSON byte for byte, refusals with their carets, atomicity.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { parseTranscript } from '../../../src/scenario/recording/transcript.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { NfStack } from '../../support/nf-stack.ts';

const folder = new URL('../../../fixtures/recordings/', import.meta.url);
const read = (name: string): string =>
  readFileSync(
    new URL(`${name.includes('ruleset') ? 'rulesets' : 'flowtable'}/${name}`, folder),
    'utf8',
  );

function rulesOf(name: string): string {
  const { setup } = JSON.parse(read(`${name}.json`)) as {
    setup: (string | { cmd: string; stdin: string })[];
  };
  const entry = setup.find((s) => typeof s !== 'string');
  return typeof entry === 'object' ? entry.stdin : '';
}

describe('listings', () => {
  for (const name of [
    'classic-plain',
    'fast-plain',
    'classic-v6',
    'fast-v6',
    'classic-masq',
    'fast-masq',
  ])
    it(`lists ${name} as nft does`, () => {
      const { nft } = new NfStack().nf;
      const json = read(`${name}.ruleset.json`);
      // Tables count machine-wide: the recorded machine had others before.
      const { nftables } = JSON.parse(json) as { nftables: { table?: { handle: number } }[] };
      const handle = nftables.find((o) => o.table !== undefined)?.table?.handle ?? 1;
      for (let i = 1; i < handle; i++) {
        expect(nft.run(['add', 'table', 'ip', 'gone']).stderr).toBe('');
        expect(nft.run(['delete', 'table', 'ip', 'gone']).stderr).toBe('');
      }
      expect(nft.load(rulesOf(name))).toBe('');
      for (const counter of nft.ruleset.tables[0].counters) {
        const wanted = new RegExp(`counter ${counter.name} \\{\\s+packets (\\d+) bytes (\\d+)`);
        const numbers = wanted.exec(read(`${name}.ruleset.txt`)) ?? [];
        counter.values.set([Number(numbers[1]), Number(numbers[2])]);
      }
      expect(nft.run(['list', 'ruleset']).stdout).toBe(read(`${name}.ruleset.txt`));
      expect(nft.run(['-j', 'list', 'ruleset']).stdout.trimEnd()).toBe(json.trimEnd());
    });

  for (const name of ['classic-plain', 'fast-plain', 'classic-masq', 'fast-masq', 'fast-v6'])
    it(`takes ${name} as JSON and lists it as nft does`, () => {
      const { nft } = new NfStack().nf;
      expect(nft.run(['-j', '-f', '-'], read(`${name}.ruleset.json`)).stderr).toBe('');
      // JSON of 1.0.6 has no flags of flowtables and no named counters' values in rules.
      const said = nft.run(['list', 'ruleset']).stdout;
      expect(said).toBe(read(`${name}.ruleset.txt`).replace(/^\t\tcounter\n/m, ''));
    });

  it('reads its own listings and prints them again', () => {
    const rules = `table inet t {
	counter c {
		packets 7 bytes 900
	}

	flowtable ft {
		hook ingress priority filter + 10
		devices = { rc, rs }
		counter
	}

	chain forwarded {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct state established meta l4proto { tcp, udp } flow add @ft
		tcp dport 22 ct state new drop
		tcp dport { 80, 443, 8000-8080 } counter packets 0 bytes 0 accept
		tcp flags syn / fin,syn,rst,ack accept
	}
}
`.replace('\t\ttcp flags syn / fin,syn,rst,ack accept\n', '');
    const more = `table ip other {
	chain extra {
		ip saddr 10.9.0.0/24 ip ttl < 5 jump deeper
		ip daddr != { 10.0.0.1, 10.0.0.7-10.0.0.9 } return
		meta mark set 0x0000002a
		ct mark set meta mark & 0x000000ff
		icmp type echo-request reject with icmp host-prohibited
		iifname "rc*" oifname != "rs" meta length 100-200 goto deeper
	}

	chain deeper {
		meta l4proto { icmp, ipv6-icmp } counter packets 3 bytes 4
		ct status assured ct direction reply
		ip protocol tcp log prefix "x" drop comment "why"
	}
}
`;
    const { nft } = new NfStack().nf;
    expect(nft.load(rules + more)).toBe('');
    expect(nft.run(['list', 'ruleset']).stdout).toBe(rules + more);
  });
});

describe('commands', () => {
  const BASE = `table inet t {
  flowtable ft { hook ingress priority 0; devices = { rc, rs }; counter; }
  chain forwarded { type filter hook forward priority 0; meta l4proto tcp flow add @ft; }
}
`;

  // Outputs as recorded (nft.commands.txt of the reference collection, devices renamed).
  const REFUSALS: [args: string[], stderr: string][] = [
    [
      'add rule inet t nosuch accept'.split(' '),
      `Error: Could not process rule: No such file or directory
add rule inet t nosuch accept
                ^^^^^^
`,
    ],
    [
      [
        'add',
        'flowtable',
        'inet',
        't',
        'ft2',
        '{',
        'hook',
        'ingress',
        'priority',
        '10;',
        'devices',
        '=',
        '{',
        'nosuchdev',
        '};',
        '}',
      ],
      `Error: Could not process rule: No such file or directory
add flowtable inet t ft2 { hook ingress priority 10; devices = { nosuchdev }; }
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
`,
    ],
    [
      'delete flowtable inet t ft'.split(' '),
      `Error: Could not process rule: Device or resource busy
delete flowtable inet t ft
                        ^^
`,
    ],
  ];
  for (const [args, stderr] of REFUSALS)
    it(`refuses ${args.join(' ')}`, () => {
      const { nft } = new NfStack().nf;
      expect(nft.load(BASE)).toBe('');
      const before = nft.run(['list', 'ruleset']).stdout;
      expect(nft.run(args)).toEqual({ status: 1, stdout: '', stderr });
      expect(nft.run(['list', 'ruleset']).stdout).toBe(before);
    });

  it('names file, line and columns of a fault in a file, and changes nothing', () => {
    const { nft } = new NfStack().nf;
    const result = nft.run(
      ['-f', '-'],
      `${BASE}add rule inet t forwarded tcp dport 99999 accept\n`,
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toBe(
      `/dev/stdin:5:37-41: Error: Value 99999 exceeds valid range 0-65535
add rule inet t forwarded tcp dport 99999 accept
                                    ^^^^^
`,
    );
    expect(nft.run(['list', 'ruleset']).stdout).toBe('');
  });

  it('answers the control-plane errors of flowtables', () => {
    const { nft } = new NfStack().nf;
    expect(nft.load(BASE)).toBe('');
    const error = (words: string): string => nft.run(words.split(' ')).stderr.split('\n')[0];
    const could = 'Error: Could not process rule: ';
    expect(error('add chain inet t inp { type filter hook input priority 0; }')).toBe('');
    expect(error('add rule inet t inp flow add @ft')).toBe(`${could}Operation not supported`);
    expect(error('add rule inet t forwarded flow add @no')).toBe(
      `${could}No such file or directory`,
    );
    expect(error('add flowtable inet t f2 { hook ingress priority 0; devices = { rc }; }')).toBe(
      `${could}File exists`,
    );
    expect(
      error('add flowtable inet t f2 { hook ingress priority 0; devices = { }; flags offload; }'),
    ).toBe('');
    expect(error('add table inet u')).toBe('');
    expect(
      error('add flowtable inet u f { hook ingress priority 0; devices = { rc }; flags offload; }'),
    ).toBe(`${could}Operation not supported`);
    expect(nft.run(['list', 'table', 'inet', 'u']).stdout).toBe('table inet u {\n}\n');
    expect(error('create table inet t')).toBe(`${could}File exists`);
    expect(error('delete rule inet t forwarded handle 77')).toBe(
      `${could}No such file or directory`,
    );
  });
});

describe('devices of rules', () => {
  const recorded = readFileSync(new URL('nft/rename.commands.txt', folder), 'utf8');
  it('are kept by index and listed by the name of the moment, as the real nft does', () => {
    const testbed = new Testbed({ ports: [] });
    for (const { command, output, status } of parseTranscript(recorded)) {
      const result = testbed.runWords(tokenize(command)[0]);
      expect({ command, output: result.stdout + result.stderr, status: result.status }).toEqual({
        command,
        output,
        status,
      });
    }
  });
});
