// A UDP frame that is written over and over: one buffer, a right IPv4 header checksum, no UDP checksum.

export class UdpFrame {
  bytes = new Uint8Array(60);
  view = new DataView(this.bytes.buffer);

  constructor() {
    this.bytes.set([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17], 14);
    this.view.setUint16(12, 0x0800);
    this.view.setUint16(38, 26);
  }

  /** From the station behind `port` of the machine (its MAC ends in port + 1) to that port. */
  fill(testbed, port, src, dst, sport, dport) {
    const { bytes, view } = this;
    bytes.set(testbed.devices[port].mac, 0);
    bytes.set([2, 0, 0, 0, 0, port + 1], 6);
    bytes[22] = 64;
    view.setUint32(26, src);
    view.setUint32(30, dst);
    view.setUint16(34, sport);
    view.setUint16(36, dport);
    view.setUint16(24, 0);
    let sum = 0;
    for (let i = 14; i < 34; i += 2) sum += view.getUint16(i);
    sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(24, ~sum & 0xffff);
    return bytes;
  }
}
