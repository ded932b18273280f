// Flow keys against tshark's dissection of recorded traffic (fixtures/tshark), against keys that a Linux kernel's datapath
// put into its upcalls (fixtures/ovs-upcall-keys.json), and for headers that are cut short or odd.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowKey } from '../../../../src/stack/openvswitch/flow-key.ts';
import { extractFlowKey } from '../../../../src/stack/openvswitch/key-extract.ts';
import { formatFlowKey, tcpFlagsText } from '../../../../src/stack/openvswitch/flow-key-text.ts';
import { readAll } from '../../capture/capture-bytes.ts';

const FIXTURES = new URL('../../../../fixtures/', import.meta.url);
const read = (path: string) => new Uint8Array(readFileSync(new URL(path, FIXTURES)));
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex'));

function keyText(frame: ArrayLike<number>, inPort = 1): string {
  const bytes = Uint8Array.from([7, 7, ...Array.from(frame), 7, 7]);
  const key = new FlowKey();
  const found = extractFlowKey(key, bytes, 2, frame.length, inPort);
  return found ? formatFlowKey(key) : 'none';
}

type Row = Record<string, string>;
const hexField = (value: string) => (Number(value) === 0 ? '0' : `0x${Number(value).toString(16)}`);

/** The key's text as put together from tshark's fields. */
function textOfRow(row: Row, inPort: number): string {
  let inner = networkOfRow(row);
  const hasInnerTag = row['ieee8021ad.id'] !== '';
  if (row['vlan.id'] !== '') {
    const tpid = hasInnerTag ? '0x8100' : row['eth.type'];
    inner = `eth_type(${tpid}),vlan(vid=${row['vlan.id']},pcp=0),encap(${inner})`;
  }
  if (hasInnerTag) {
    inner = `eth_type(0x88a8),vlan(vid=${row['ieee8021ad.id']},pcp=0),encap(${inner})`;
  }
  return `in_port(${inPort}),eth(src=${row['eth.src']},dst=${row['eth.dst']}),${inner}`;
}

function networkOfRow(row: Row): string {
  const type = row['vlan.etype'] || row['eth.type'];
  if (type === '0x0806') {
    const [sip, tip] = [row['arp.src.proto_ipv4'], row['arp.dst.proto_ipv4']];
    const macs = `sha=${row['arp.src.hw_mac']},tha=${row['arp.dst.hw_mac']}`;
    return `eth_type(0x0806),arp(sip=${sip},tip=${tip},op=${row['arp.opcode']},${macs})`;
  }
  if (type === '0x0800') {
    const later = row['ip.frag_offset'] !== '0';
    const frag = later ? 'later' : row['ip.flags.mf'] === '1' ? 'first' : 'no';
    const proto = row['ip.proto'];
    const tail = `tos=${hexField(row['ip.dsfield'])},ttl=${row['ip.ttl']},frag=${frag}`;
    const ends = `src=${row['ip.src']},dst=${row['ip.dst']},proto=${proto}`;
    const text = `eth_type(0x0800),ipv4(${ends},${tail})`;
    return later ? text : `${text},${transportOfRow(row, proto)}`;
  }
  const offset = row['ipv6.fraghdr.offset'];
  const later = offset !== '' && offset !== '0';
  const frag = later ? 'later' : offset === '' ? 'no' : 'first';
  const proto = later ? '44' : row['tcp.srcport'] ? '6' : row['icmpv6.type'] ? '58' : '17';
  const ends = `src=${row['ipv6.src']},dst=${row['ipv6.dst']},label=${hexField(row['ipv6.flow'])}`;
  const tail = `tclass=${hexField(row['ipv6.tclass'])},hlimit=${row['ipv6.hlim']},frag=${frag}`;
  const text = `eth_type(0x86dd),ipv6(${ends},proto=${proto},${tail})`;
  return later ? text : `${text},${transportOfRow(row, proto)}`;
}

function transportOfRow(row: Row, proto: string): string {
  if (proto === '17') return `udp(src=${row['udp.srcport']},dst=${row['udp.dstport']})`;
  if (proto === '1') return `icmp(type=${row['icmp.type']},code=${row['icmp.code']})`;
  if (proto === '6') {
    const flags = flagNames(Number(row['tcp.flags']));
    return `tcp(src=${row['tcp.srcport']},dst=${row['tcp.dstport']}),tcp_flags(${flags})`;
  }
  const target = row['icmpv6.nd.ns.target_address'] || row['icmpv6.nd.na.target_address'];
  const text = `icmpv6(type=${row['icmpv6.type']},code=${row['icmpv6.code']})`;
  return target === '' ? text : `${text},nd(target=${target},`;
}

/** Flags of this project's recordings, by value. */
function flagNames(flags: number): string {
  const names: Row = {
    2: 'syn',
    18: 'syn|ack',
    16: 'ack',
    24: 'psh|ack',
    17: 'fin|ack',
    25: 'fin|psh|ack',
    4: 'rst',
    20: 'rst|ack',
  };
  return names[flags] ?? `?${flags}`;
}

describe('flow keys of recorded traffic', () => {
  it.each([
    'fragments.pcap',
    'icmp.pcap',
    'ipv6.pcap',
    'qinq.pcap',
    'udp.pcap',
    'vlan.pcap',
    'two-sides.pcapng',
  ])('agree with tshark on %s', (name) => {
    const lines = Buffer.from(read(`tshark/${name}.tsv`))
      .toString()
      .trimEnd()
      .split('\n');
    const fields = lines[0].split('\t');
    const { packets, error } = readAll(read(`pcap/${name}`), 65536);
    expect(error).toBe('');
    expect(packets.length).toBe(lines.length - 1);
    packets.forEach((packet, n) => {
      const values = lines[n + 1].split('\t');
      const row = Object.fromEntries(fields.map((field, i) => [field, values[i] ?? '']));
      const inPort = packet.interfaceIndex + 1;
      const ours = keyText(packet.data, inPort);
      const theirs = textOfRow(row, inPort);
      if (theirs.includes('nd(target=')) {
        expect(ours.startsWith(theirs.replace(/\)*$/, ''))).toBe(true);
      } else expect(ours).toBe(theirs);
      const ns = String(packet.fractionPs / 1000).padStart(9, '0');
      expect(`${packet.seconds}.${ns}`).toBe(row['frame.time_epoch']);
      expect([packet.data.length, packet.wireLen]).toEqual([
        +row['frame.cap_len'],
        +row['frame.len'],
      ]);
    });
  });
});

describe('flow keys of a kernel', () => {
  interface Upcall {
    packet: string;
    key: { ETHERNET: string; ETHERTYPE: string; IPV4: string; UDP: string };
  }
  const recorded = JSON.parse(Buffer.from(read('ovs-upcall-keys.json')).toString()) as {
    upcalls: Upcall[];
  };
  it.each(recorded.upcalls)('agree on upcall %#', ({ packet, key }) => {
    const ours = new FlowKey();
    const frame = hex(packet);
    extractFlowKey(ours, frame, 0, frame.length, 1);
    const text = (...parts: (ArrayLike<number> | number)[]) =>
      parts
        .map((p) => Buffer.from(typeof p === 'number' ? [p] : Array.from(p)).toString('hex'))
        .join('');
    const two = (value: number) => [value >> 8, value & 255];
    expect(text(ours.ethSrc, ours.ethDst)).toBe(key.ETHERNET);
    expect(text(two(ours.ethType))).toBe(key.ETHERTYPE);
    const { ipv4Src, ipv4Dst, ipProto, ipTos, ipTtl, ipFrag } = ours;
    expect(text(ipv4Src, ipv4Dst, ipProto, ipTos, ipTtl, ipFrag)).toBe(key.IPV4);
    expect(text(two(ours.tpSrc), two(ours.tpDst))).toBe(key.UDP);
  });
});

const MACS = '020000000002 020000000001';
const ETH = 'in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)';
const IP = (proto: string, frag = '0000') =>
  `45000028 0000${frag} 40${proto}0000 0a000001 0a000002`;
const IPTEXT = (proto: number, frag = 'no') =>
  `eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=${proto},tos=0,ttl=64,frag=${frag})`;
const SRC6 = '20010db8000000000000000000000001';
const DST6 = '20010db8000000000000000000000002';
const IP6 = (next: string) => `6a1abcde 0040 ${next} 40 ${SRC6} ${DST6}`;
const IP6TEXT = (proto: number, frag = 'no') =>
  `eth_type(0x86dd),ipv6(src=2001:db8::1,dst=2001:db8::2,label=0xabcde,proto=${proto},tclass=0xa1,hlimit=64,frag=${frag})`;
const ND = (options: string) => `${MACS} 86dd ${IP6('3a')} 8700 0000 00000000 ${DST6} ${options}`;
const NDTEXT = `${ETH},${IP6TEXT(58)},icmpv6(type=135,code=0),nd`;
const NONE = '00:00:00:00:00:00';

describe('odd headers', () => {
  it.each([
    ['a frame without Ethernet header', '0200000000020200000000010', 'none'],
    [
      'nothing behind the header',
      `${MACS} 0800`,
      `${ETH},eth_type(0x0800),ipv4(src=0.0.0.0,dst=0.0.0.0,proto=0,tos=0,ttl=0,frag=no)`,
    ],
    ['unknown type', `${MACS} 88cc 0207`, `${ETH},eth_type(0x88cc)`],
    [
      'IHL 4',
      `${MACS} 0800 ${IP('11').replace('45', '44')} 00010002 00080000`,
      `${ETH},eth_type(0x0800),ipv4(src=0.0.0.0,dst=0.0.0.0,proto=0,tos=0,ttl=0,frag=no)`,
    ],
    [
      'UDP cut short',
      `${MACS} 0800 ${IP('11')} 00010002 000800`,
      `${ETH},${IPTEXT(17)},udp(src=0,dst=0)`,
    ],
    [
      'TCP with options cut short',
      `${MACS} 0800 ${IP('06')} 00010002 00000000 00000000 60120000 00000000`,
      `${ETH},${IPTEXT(6)},tcp(src=0,dst=0),tcp_flags(0)`,
    ],
    [
      'TCP with all flags',
      `${MACS} 0800 ${IP('06')} 00010002 00000000 00000000 5fff0000 00000000`,
      `${ETH},${IPTEXT(6)},tcp(src=1,dst=2),tcp_flags(fin|syn|rst|psh|ack|urg|ece|cwr|ns|[200]|[400]|[800])`,
    ],
    [
      'later fragment',
      `${MACS} 0800 ${IP('11', '0001')} 00010002 00080000`,
      `${ETH},${IPTEXT(17, 'later')}`,
    ],
    [
      'first fragment',
      `${MACS} 0800 ${IP('11', '2000')} 00010002 00080000`,
      `${ETH},${IPTEXT(17, 'first')},udp(src=1,dst=2)`,
    ],
    [
      'SCTP',
      `${MACS} 0800 ${IP('84')} 00070009 00000000 00000000`,
      `${ETH},${IPTEXT(132)},sctp(src=7,dst=9)`,
    ],
    [
      'ICMP',
      `${MACS} 0800 ${IP('01')} 0304 0000 00000000`,
      `${ETH},${IPTEXT(1)},icmp(type=3,code=4)`,
    ],
    ['a protocol without ports', `${MACS} 0800 ${IP('2f')} 00000800`, `${ETH},${IPTEXT(47)}`],
    ['802.2', `${MACS} 0003 424203 0000000000`, ETH],
    ['SNAP', `${MACS} 000c aaaa03 000000 88cc 0000`, `${ETH},eth_type(0x88cc)`],
    ['SNAP of another organisation', `${MACS} 000c aaaa03 00000c 2000 0000`, ETH],
    [
      'a priority tag',
      `${MACS} 8100 e000 88cc 00`,
      `${ETH},eth_type(0x8100),vlan(vid=0,pcp=7),encap(eth_type(0x88cc))`,
    ],
    [
      'a tag cut short',
      `${MACS} 8100 0064 08`,
      `${ETH},eth_type(0x0000),vlan(vid=0,pcp=0,cfi=0),encap()`,
    ],
    [
      'three tags',
      `${MACS} 88a8 0001 8100 0002 8100 0003 0800`,
      `${ETH},eth_type(0x88a8),vlan(vid=1,pcp=0),encap(eth_type(0x8100),vlan(vid=2,pcp=0),encap(eth_type(0x8100)))`,
    ],
    [
      'RARP',
      `${MACS} 8035 0001 0800 06 04 0003 020000000001 00000000 020000000002 00000000`,
      `${ETH},eth_type(0x8035),arp(sip=0.0.0.0,tip=0.0.0.0,op=3,sha=02:00:00:00:00:01,tha=02:00:00:00:00:02)`,
    ],
    [
      'ARP of another hardware',
      `${MACS} 0806 0006 0800 06 04 0001 020000000001 0a000001 020000000002 0a000002`,
      `${ETH},eth_type(0x0806),arp(sip=0.0.0.0,tip=0.0.0.0,op=0,sha=${NONE},tha=${NONE})`,
    ],
    [
      'a large ARP operation',
      `${MACS} 0806 0001 0800 06 04 0101 020000000001 0a000001 020000000002 0a000002`,
      `${ETH},eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=0,sha=02:00:00:00:00:01,tha=02:00:00:00:00:02)`,
    ],
    [
      'MPLS, two labels',
      `${MACS} 8847 00064640 000c8bff 45`,
      `${ETH},eth_type(0x8847),mpls(label=100,tc=3,ttl=64,bos=0,label=200,tc=5,ttl=255,bos=1)`,
    ],
    [
      'IPv6 and UDP',
      `${MACS} 86dd ${IP6('11')} 00010002 00080000`,
      `${ETH},${IP6TEXT(17)},udp(src=1,dst=2)`,
    ],
    [
      'IPv6 cut short',
      `${MACS} 86dd 60000000 00`,
      `${ETH},eth_type(0x86dd),ipv6(src=::,dst=::,label=0,proto=0,tclass=0,hlimit=0,frag=no)`,
    ],
    [
      'hop-by-hop, destination options, AH, TCP',
      `${MACS} 86dd ${IP6('00')} 3c00000000000000 3301 0000000000000000000000000000 0602 0000 00000000 00000000 00000000 00010002 00000000 00000000 50020000 00000000`,
      `${ETH},${IP6TEXT(6)},tcp(src=1,dst=2),tcp_flags(syn)`,
    ],
    ['a chain that breaks off', `${MACS} 86dd ${IP6('00')} 11`, `${ETH},${IP6TEXT(59)}`],
    ['no next header', `${MACS} 86dd ${IP6('3b')} 11`, `${ETH},${IP6TEXT(59)}`],
    [
      'first IPv6 fragment',
      `${MACS} 86dd ${IP6('2c')} 11000001 00000001 00010002 00080000`,
      `${ETH},${IP6TEXT(17, 'first')},udp(src=1,dst=2)`,
    ],
    [
      'later IPv6 fragment',
      `${MACS} 86dd ${IP6('2c')} 11000008 00000001 00010002 00080000`,
      `${ETH},${IP6TEXT(44, 'later')}`,
    ],
    [
      'later IPv6 fragment of an extension header',
      `${MACS} 86dd ${IP6('2c')} 3c000008 00000001`,
      `${ETH},${IP6TEXT(59, 'first')}`,
    ],
    [
      'ND with both options',
      ND('0101020000000001 0201020000000009'),
      `${NDTEXT}(target=2001:db8::2,sll=02:00:00:00:00:01,tll=02:00:00:00:00:09)`,
    ],
    [
      'ND with an option twice',
      ND('0101020000000001 0101020000000001'),
      `${NDTEXT}(target=::,sll=${NONE},tll=${NONE})`,
    ],
    [
      'ND with an empty option',
      ND('0101020000000001 0200020000000009'),
      `${NDTEXT}(target=2001:db8::2,sll=02:00:00:00:00:01,tll=${NONE})`,
    ],
  ])('%s', (_name, frame, expected) => {
    expect(keyText(hex(frame))).toBe(expected);
  });

  it('never reads beyond the frame, whatever its bytes and length', () => {
    const starts = ['0800', '86dd', '0806', '8847', '8100', '88a8', '0010'].map((t) => MACS + t);
    const value = fc.constantFrom(
      0,
      1,
      4,
      6,
      8,
      17,
      43,
      44,
      45,
      58,
      60,
      0x45,
      0x60,
      0x81,
      0x88,
      135,
      255,
    );
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.array(value, { maxLength: 90 }), (start, rest) => {
        const frame = [...hex(start), ...rest];
        const once = new FlowKey();
        const again = new FlowKey();
        extractFlowKey(once, Uint8Array.from(frame), 0, frame.length, 1);
        extractFlowKey(
          again,
          Uint8Array.from([...frame, ...Array<number>(80).fill(0x45)]),
          0,
          frame.length,
          1,
        );
        expect(again).toEqual(once);
        expect(formatFlowKey(once)).not.toMatch(/NaN|undefined/);
      }),
      { seed: 20260721, numRuns: 2000 },
    );
  });

  it('prints flags from the lowest bit on', () => {
    expect(tcpFlagsText(0)).toBe('0');
    expect(tcpFlagsText(0x18)).toBe('psh|ack');
  });
});
