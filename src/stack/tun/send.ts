// Sending a given frame through a tun device, as a program with a packet socket does: queue selection, filters and ring as for any
// packet of the stack. A tun's frame begins with its IP header.

import type { TunDevice } from './tun-device.ts';

const ETH_HEADER_BYTES = 14;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

/** Sends a copy of `bytes` from core `cpu`; false when there is no memory for it. */
export function sendFrame(tun: TunDevice, bytes: Uint8Array, cpu = 0): boolean {
  const { kernel, dev, madeUpHeaderBytes } = tun;
  const skb = kernel.alloc_skb(bytes.length + madeUpHeaderBytes);
  if (skb === null) return false;
  skb.bytes.set(bytes, skb.at + madeUpHeaderBytes);
  skb.lenBytes = bytes.length + madeUpHeaderBytes;
  if (madeUpHeaderBytes > 0) {
    const protocol = bytes[0] >> 4 === 6 ? ETH_P_IPV6 : ETH_P_IP;
    skb.bytes.fill(0, skb.at, skb.at + madeUpHeaderBytes);
    skb.bytes[skb.at + 12] = protocol >> 8;
    skb.bytes[skb.at + 13] = protocol & 0xff;
  }
  skb.macAt = skb.at;
  skb.networkAt = skb.at + ETH_HEADER_BYTES;
  skb.protocol = (skb.bytes[skb.at + 12] << 8) | skb.bytes[skb.at + 13];
  kernel.memory.setOwner(kernel.iovaOf(skb.at), -1);
  const send = (): void => {
    kernel.dev_queue_xmit(skb, dev);
  };
  if (kernel.current !== null) send();
  else kernel.inContext(cpu % kernel.cores.length, send);
  return true;
}
