// Public surface of ./capture: reading and writing pcap and pcapng as bytes, and Ethernet frames from other link layers.
// Pure: files, standard input and gzip are in src/node/capture-files.ts.

export { CaptureError } from './errors.ts';
export * from './link-types.ts';
export { ethernetGrowthBytes, MAX_GROWTH_BYTES, toEthernet } from './link-layer.ts';
export { MAX_PACKET_BYTES } from './pcap-format.ts';
export { PcapWriter } from './pcap-writer.ts';
export type { PcapWriterOptions } from './pcap-writer.ts';
export { PcapngWriter } from './pcapng-writer.ts';
export type { PcapngInterfaceOptions } from './pcapng-writer.ts';
export type { ByteSink } from './chunk-buffer.ts';
export { CaptureReader } from './reader.ts';
export type { CaptureFormat } from './reader.ts';
export {
  CaptureRecord,
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  DIRECTION_UNKNOWN,
  MonotonicTime,
} from './record.ts';
export type { CaptureInterface } from './record.ts';
