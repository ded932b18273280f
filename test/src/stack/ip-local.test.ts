// What the router itself answers and drops: ARP, echo, closed ports, no route, neighbours that stay silent, VLANs. Frames are
// built here byte by byte from the RFCs; expectations are those of a Linux router.

import { describe, expect, it } from 'vitest';
import { StackRig, bytesOf, hex } from '../../support/stack-rig.ts';
import { naiveChecksum } from '../../reference/naive-ip.ts';

const RC = '020000000101';
const RS = '020000000201';
const CLIENT = '020000000102';
const SERVER = '020000000202';
const C4 = 'c0a80102';
const R4 = 'c0a80101';
const S4 = '0a000002';

function router(): StackRig {
  const rig = new StackRig();
  rig.addPort('c', 'rc', RC);
  rig.addPort('s', 'rs', RS, 1400);
  rig.must('sysctl -w net.ipv4.ip_forward=1');
  rig.must('sysctl -w net.ipv6.conf.all.forwarding=1');
  rig.must('ip addr add 192.168.1.1/24 dev rc');
  rig.must('ip addr add 10.0.0.1/24 dev rs');
  rig.must('ip -6 addr add fd00:1::1/64 dev rc nodad');
  rig.must('ip neigh replace 192.168.1.2 lladdr 02:00:00:00:01:02 dev rc nud permanent');
  rig.must('ip neigh replace fd00:1::2 lladdr 02:00:00:00:01:02 dev rc nud permanent');
  return rig;
}

function checksummed(text: string, at: number, from = 0): string {
  const bytes = bytesOf(text);
  const sum = naiveChecksum(bytes.subarray(from));
  bytes[at] = sum >> 8;
  bytes[at + 1] = sum & 255;
  return hex(bytes);
}

function ip4(
  src: string,
  dst: string,
  protocol: string,
  payload: string,
  extra = '00000000',
  ttl = '40',
): string {
  const length = (20 + payload.length / 2).toString(16).padStart(4, '0');
  return checksummed(`4500${length}${extra}${ttl}${protocol}0000${src}${dst}`, 10) + payload;
}

function udp(payload: string): string {
  const length = (8 + payload.length / 2).toString(16).padStart(4, '0');
  return `13880035${length}0000${payload}`;
}

function frame(dst: string, src: string, type: string, payload: string): string {
  return dst + src + type + payload;
}

describe('ARP', () => {
  const request = `0001080006040001${CLIENT}${C4}000000000000${R4}`;

  it('answers for its own address and learns the sender', () => {
    const rig = router();
    rig.must('ip neigh del 192.168.1.2 dev rc');
    rig.receive('c', frame('ffffffffffff', CLIENT, '0806', request));
    expect(rig.take()).toEqual([
      { port: 'c', frame: `${CLIENT}${RC}0806` + `0001080006040002${RC}${R4}${CLIENT}${C4}` },
    ]);
    expect(rig.must('ip neigh show dev rc')).toContain(
      '192.168.1.2 lladdr 02:00:00:00:01:02 STALE',
    );
    expect(rig.fates).toEqual(['local 1 arp']);
  });

  it('is silent for addresses of others', () => {
    const rig = router();
    rig.receive('c', frame('ffffffffffff', CLIENT, '0806', request.slice(0, -2) + '63'));
    expect(rig.take()).toEqual([]);
  });

  it('resolves a next hop, sends what waited in order, and says host unreachable when nobody answers', () => {
    const rig = router();
    const packet = (n: string): string => ip4(C4, S4, '11', udp(n));
    for (const n of ['01', '02']) rig.receive('c', frame(RC, CLIENT, '0800', packet(n)));
    const who = `ffffffffffff${RS}08060001080006040001${RS}0a000001000000000000${S4}`;
    expect(rig.take()).toEqual([{ port: 's', frame: who }]);
    rig.receive('s', frame(RS, SERVER, '0806', `0001080006040002${SERVER}${S4}${RS}0a000001`));
    const sent = rig.take().map((f) => f.frame);
    expect(sent.map((f) => f.slice(0, 24) + f.slice(-2))).toEqual([
      `${SERVER}${RS}01`,
      `${SERVER}${RS}02`,
    ]);
    expect(rig.must('ip neigh show to 10.0.0.2')).toBe(
      '10.0.0.2 dev rs lladdr 02:00:00:00:02:02 REACHABLE \n',
    );
    rig.must('ip neigh del 10.0.0.2 dev rs');
    rig.receive('c', frame(RC, CLIENT, '0800', packet('03')));
    rig.runTo(10);
    const after = rig.take();
    expect(after.filter((f) => f.port === 's').map((f) => f.frame)).toEqual([who, who, who]);
    const errors = after.filter((f) => f.port === 'c');
    expect(errors).toHaveLength(1);
    expect(errors[0].frame.slice(68, 72)).toBe('0301');
    expect(rig.fates.at(-1)).toBe('drop 4 neigh-failed');
    expect(rig.liveCount).toBe(0);
  });

  it('keeps at most 101 packets waiting', () => {
    const rig = router();
    for (let i = 0; i < 103; i++)
      rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, S4, '11', udp('00'))));
    expect(rig.fates.filter((f) => f.startsWith('drop'))).toEqual([
      'drop 1 neigh-queuefull',
      'drop 2 neigh-queuefull',
    ]);
    rig.runTo(5);
    expect(rig.liveCount).toBe(0);
  });
});

describe('this host', () => {
  it('answers an echo request', () => {
    const rig = router();
    const echo = checksummed('0800000000070001aabb', 2);
    rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, R4, '01', echo)));
    const [reply] = rig.take();
    expect(reply.frame.slice(0, 28)).toBe(`${CLIENT}${RC}0800`);
    expect(reply.frame.slice(68)).toBe(checksummed('0000000000070001aabb', 2));
    expect(naiveChecksum(bytesOf(reply.frame.slice(28, 68))) % 0xffff).toBe(0);
  });

  it('UDP to nobody: port unreachable; TCP: RST that acknowledges the SYN', () => {
    const rig = router();
    rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, R4, '11', udp('0102'))));
    expect(rig.take()[0].frame.slice(68, 72)).toBe('0303');
    const tcp = `9c40005000000064000000005002faf000000000`;
    const pseudo = `${C4}${R4}00060014`;
    const sum = naiveChecksum(bytesOf(pseudo + tcp))
      .toString(16)
      .padStart(4, '0');
    const syn = tcp.slice(0, 32) + sum + tcp.slice(36);
    rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, R4, '06', syn)));
    const reset = rig.take()[0].frame.slice(68);
    expect(reset.slice(0, 32)).toBe('00509c40' + '00000000' + '00000065' + '50140000');
    expect(naiveChecksum(bytesOf(`${R4}${C4}00060014${reset}`)) % 0xffff).toBe(0);
    expect(rig.fates).toEqual(['drop 1 no-socket', 'drop 2 no-socket']);
  });

  it('no route: net unreachable, with the default limits at most five at once from one source', () => {
    const rig = router();
    for (let i = 0; i < 8; i++)
      rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, '08080808', '11', udp('00'))));
    const errors = rig.take().map((f) => f.frame.slice(68, 72));
    expect(errors.every((e) => e === '0300')).toBe(true);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.length).toBeLessThan(8);
    expect(rig.fates.every((f) => f.endsWith('no-route'))).toBe(true);
  });

  it('never answers an ICMP error, a later fragment or a broadcast with an error', () => {
    const rig = router();
    const unreachable = checksummed(`0303000000000000${ip4(C4, S4, '11', udp(''))}`, 2);
    rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, '08080808', '01', unreachable)));
    rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, '08080808', '11', udp('00'), '00010010')));
    rig.receive('c', frame('ffffffffffff', CLIENT, '0800', ip4(C4, 'c0a801ff', '11', udp('00'))));
    expect(rig.take()).toEqual([]);
  });

  it('drops martians and frames for others with a reason', () => {
    const rig = router();
    rig.receive('c', frame(RC, CLIENT, '0800', ip4('7f000001', S4, '11', udp('00'))));
    rig.receive('c', frame(RC, CLIENT, '0800', ip4('0a000001', S4, '11', udp('00'))));
    rig.receive('c', frame('020000009999', CLIENT, '0800', ip4(C4, S4, '11', udp('00'))));
    rig.receive('c', frame(RC, CLIENT, '88cc', '0000'));
    rig.receive('c', frame(RC, CLIENT, '8100', `00640800${ip4(C4, S4, '11', udp('00'))}`));
    expect(rig.fates).toEqual([
      'drop 1 martian',
      'drop 2 martian',
      'drop 3 otherhost',
      'drop 4 unhandled-proto',
      'drop 5 vlan-unknown',
    ]);
    expect(rig.take()).toEqual([]);
    expect(rig.liveCount).toBe(0);
  });
});

describe('neighbour discovery', () => {
  const ROUTER6 = 'fd000001000000000000000000000001';
  const HOST6 = 'fd000001000000000000000000000002';

  it('advertises its address to the asking host', () => {
    const rig = router();
    const group = 'ff0200000000000000000001ff000001';
    const message = `8700000000000000${ROUTER6}0101${CLIENT}`;
    const sum = naiveChecksum(bytesOf(`${HOST6}${group}000000200000003a${message}`));
    const body = `8700${sum.toString(16).padStart(4, '0')}${message.slice(8)}`;
    rig.receive(
      'c',
      frame('3333ff000001', CLIENT, '86dd', `6000000000203aff${HOST6}${group}${body}`),
    );
    const [answer] = rig.take();
    expect(answer.frame.slice(0, 28)).toBe(`${CLIENT}${RC}86dd`);
    const ip = answer.frame.slice(28);
    expect(ip.slice(8, 80)).toBe(`00203aff${ROUTER6}${HOST6}`);
    expect(ip.slice(80, 84)).toBe('8800');
    expect(ip.slice(88)).toBe(`e0000000${ROUTER6}0201${RC}`);
    const check = naiveChecksum(bytesOf(`${ip.slice(16, 80)}000000200000003a${ip.slice(80)}`));
    expect(check % 0xffff).toBe(0);
  });
});

describe('VLAN devices', () => {
  it('take their tag and put it back', () => {
    const rig = router();
    rig.must('ip link add link rs name rs.100 type vlan id 100');
    rig.must('ip link set rs.100 up');
    rig.must('ip addr add 10.1.0.1/24 dev rs.100');
    rig.must('ip neigh replace 10.1.0.2 lladdr 02:00:00:00:02:02 dev rs.100 nud permanent');
    rig.receive('c', frame(RC, CLIENT, '0800', ip4(C4, '0a010002', '11', udp('aa'))));
    const [out] = rig.take();
    const forwarded = ip4(C4, '0a010002', '11', udp('aa'), '00000000', '3f');
    expect(out).toEqual({ port: 's', frame: `${SERVER}${RS}81000064` + `0800${forwarded}` });
    rig.receive('s', frame(RS, SERVER, '8100', `00640800${ip4('0a010002', C4, '11', udp('bb'))}`));
    const back = ip4('0a010002', C4, '11', udp('bb'), '00000000', '3f');
    expect(rig.take()).toEqual([{ port: 'c', frame: `${CLIENT}${RC}0800${back}` }]);
  });
});
