// Descriptor formats of the 82599: advanced receive (read and write-back), advanced transmit data and context, and the legacy
// ones. Datasheet sections 7.1.5, 7.1.6 and 7.2.3.2. Every descriptor is 16 bytes, little endian.
//
// Accessors take (view, at): a DataView on a memory region and the byte offset of the descriptor. They serve drivers and
// device alike. Fields of RSC are left out.

/** Bytes of one descriptor, receive or transmit. */
export const DESCRIPTOR_BYTES = 16;
const HIGH = 0x1_0000_0000;

// Receive write-back, word 0: RSS type, packet type; word 2: status and errors.
export const RXD_STAT_DD = 1 << 0;
export const RXD_STAT_EOP = 1 << 1;
/** A table rule marked the frame: the hash word is its mark. */
export const RXD_STAT_FLM = 1 << 2;
/** A VLAN tag was stripped into the descriptor. */
export const RXD_STAT_VP = 1 << 3;
export const RXD_STAT_UDPCS = 1 << 4;
/** Transport checksum was calculated; see RXD_ERR_TCPE. */
export const RXD_STAT_L4CS = 1 << 5;
/** IPv4 header checksum was calculated; see RXD_ERR_IPE. */
export const RXD_STAT_IPCS = 1 << 6;
/** Ours, in a bit that the 82599 leaves 0: a copy made by the staged tables; the hash word holds its sampling group. */
export const RXD_STAT_COPY = 1 << 18;
/** Outer one of two tags (CTRL_EXT.EXTENDED_VLAN). */
export const RXD_STAT_VEXT = 1 << 9;
/** The header did not fit its buffer. */
export const RXD_HBO = 1 << 23;
/** The Flow Director filter that matched lies too far down its chain. */
export const RXD_ERR_FDIR_LEN = 1 << 20;
export const RXD_ERR_RXE = 1 << 29;
export const RXD_ERR_TCPE = 1 << 30;
export const RXD_ERR_IPE = 1 << 31;
export const RXD_CHECKSUM_ERRORS = RXD_ERR_IPE | RXD_ERR_TCPE;
/** RSS type, bits 3:0 of word 0. */
export const RSS_TYPE_MASK = 15;
export const RSS_TYPE_NONE = 0;
export const RSS_TYPE_IPV4_TCP = 1;
export const RSS_TYPE_IPV4 = 2;
export const RSS_TYPE_IPV6_TCP = 3;
export const RSS_TYPE_IPV6 = 5;
export const RSS_TYPE_IPV4_UDP = 7;
export const RSS_TYPE_IPV6_UDP = 8;
/** Packet type, in place in word 0. */
export const PKT_TYPE_IPV4 = 1 << 4;
export const PKT_TYPE_IPV4_EX = 1 << 5;
export const PKT_TYPE_IPV6 = 1 << 6;
export const PKT_TYPE_IPV6_EX = 1 << 7;
export const PKT_TYPE_TCP = 1 << 8;
export const PKT_TYPE_UDP = 1 << 9;
export const PKT_TYPE_SCTP = 1 << 10;
/** An EtherType filter took the packet: its number in bits 6:4, in place of the types above. */
export const PKT_TYPE_ETQF = 1 << 15;
export const PKT_TYPE_ETQF_SHIFT = 4;

/** Length of the header (bits 30:21), and whether the parser found one, in word 0 of the packet's first descriptor. */
export const RXD_HDR_LEN_SHIFT = 21;
export const RXD_SPH = 1 << 31;

// Transmit word 2 (cmd_type_len). Legacy descriptors have the same command bits, and DEXT clear.
export const TXD_DTYP_MASK = 0xf << 20;
export const TXD_DTYP_CTXT = 2 << 20;
export const TXD_DTYP_DATA = 3 << 20;
export const TXD_DCMD_EOP = 1 << 24;
export const TXD_DCMD_IFCS = 1 << 25;
/** Legacy: insert a checksum (CSS, CSO). */
export const TXD_CMD_IC = 1 << 26;
export const TXD_DCMD_RS = 1 << 27;
export const TXD_DCMD_DEXT = 1 << 29;
export const TXD_DCMD_VLE = 1 << 30;
export const TXD_DCMD_TSE = 1 << 31;
// Transmit word 3 (olinfo_status).
export const TXD_STAT_DD = 1 << 0;
export const TXD_IDX_SHIFT = 4;
/** Check context: the descriptor refers to context IDX. */
export const TXD_CC = 1 << 7;
/** Insert the IPv4 header checksum. */
export const TXD_POPTS_IXSM = 1 << 8;
/** Insert the transport checksum. */
export const TXD_POPTS_TXSM = 1 << 9;
export const TXD_PAYLEN_SHIFT = 14;
// Context word 2 (type_tucmd_mlhl).
export const TUCMD_IPV4 = 1 << 10;
export const TUCMD_L4T_MASK = 3 << 11;
export const TUCMD_L4T_UDP = 0 << 11;
export const TUCMD_L4T_TCP = 1 << 11;
export const TUCMD_L4T_SCTP = 2 << 11;
// Context word 3: L4LEN 15:8, MSS 31:16.
export const CTX_L4LEN_SHIFT = 8;
export const CTX_MSS_SHIFT = 16;

/** 64-bit address at `at` as a number (exact below 2^53). */
export function readAddress(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * HIGH;
}

/** Writes a 64-bit little-endian address. */
export function writeAddress(view: DataView, at: number, iova: number): void {
  view.setUint32(at, iova >>> 0, true);
  view.setUint32(at + 4, Math.floor(iova / HIGH), true);
}

/** Fills a receive descriptor in read format: packet buffer address; the header address word is cleared, and DD with it. */
export function writeRxRead(view: DataView, at: number, bufferIova: number): void {
  writeAddress(view, at, bufferIova);
  view.setUint32(at + 8, 0, true);
  view.setUint32(at + 12, 0, true);
}

/** Receive read format: I/O address of the packet buffer. */
export function rxBufferIova(view: DataView, at: number): number {
  return readAddress(view, at);
}

/** Receive read format: I/O address of the header buffer (bit 0 is not part of it). */
export function rxHeaderIova(view: DataView, at: number): number {
  return ((view.getUint32(at + 8, true) & ~1) >>> 0) + view.getUint32(at + 12, true) * HIGH;
}

/** Fills a legacy receive write-back from status word and length-and-tag word of the advanced one (82599 7.1.5). */
export function writeLegacyRxWriteBack(
  view: DataView,
  at: number,
  status: number,
  lengthTag: number,
): void {
  const errors = ((status >>> 24) & 0xc0) | ((status >>> 29) & 1);
  view.setUint32(at + 8, lengthTag & 0xffff, true);
  view.setUint32(at + 12, (lengthTag & -0x10000) | (errors << 8) | (status & 0x7f), true);
}

/** Receive write-back: packet type and RSS type (word 0). */
export function rxPacketInfo(view: DataView, at: number): number {
  return view.getUint32(at, true);
}

/** Receive write-back: RSS hash, signed 32 bit. */
export function rxHash(view: DataView, at: number): number {
  return view.getInt32(at + 4, true);
}

/** Receive write-back: status and error bits, signed 32 bit. */
export function rxStatus(view: DataView, at: number): number {
  return view.getInt32(at + 8, true);
}

/** Receive write-back: bytes in this buffer. */
export function rxLengthBytes(view: DataView, at: number): number {
  return view.getUint16(at + 12, true);
}

/** Receive write-back: stripped VLAN TCI, valid with RXD_STAT_VP. */
export function rxVlanTci(view: DataView, at: number): number {
  return view.getUint16(at + 14, true);
}

/** Fills a receive write-back. */
export function writeRxWriteBack(
  view: DataView,
  at: number,
  packetInfo: number,
  hash: number,
  status: number,
  lenBytes: number,
  vlanTci: number,
): void {
  view.setUint32(at, packetInfo, true);
  view.setUint32(at + 4, hash, true);
  view.setUint32(at + 8, status, true);
  view.setUint16(at + 12, lenBytes, true);
  view.setUint16(at + 14, vlanTci, true);
}

/** Fills a transmit data descriptor; DEXT and DTYP are added. `payLenBytes` is the whole packet's length. */
export function writeTxData(
  view: DataView,
  at: number,
  bufferIova: number,
  lenBytes: number,
  dcmd: number,
  payLenBytes: number,
  popts: number,
): void {
  writeAddress(view, at, bufferIova);
  view.setUint32(at + 8, lenBytes | TXD_DTYP_DATA | TXD_DCMD_DEXT | dcmd, true);
  view.setUint32(at + 12, (payLenBytes << TXD_PAYLEN_SHIFT) | popts, true);
}

/** Fills a transmit context descriptor: header lengths and VLAN tag for the data descriptors that follow with CC set. */
export function writeTxContext(
  view: DataView,
  at: number,
  macLenBytes: number,
  ipLenBytes: number,
  vlanTci: number,
  tucmd: number,
  contextIndex = 0,
  l4LenBytes = 0,
  mssBytes = 0,
): void {
  view.setUint32(at, ipLenBytes | (macLenBytes << 9) | (vlanTci << 16), true);
  view.setUint32(at + 4, 0, true);
  view.setUint32(at + 8, tucmd | TXD_DTYP_CTXT | TXD_DCMD_DEXT, true);
  const segment = (l4LenBytes << CTX_L4LEN_SHIFT) | (mssBytes << CTX_MSS_SHIFT);
  view.setUint32(at + 12, (contextIndex << TXD_IDX_SHIFT) | segment, true);
}

/** Transmit: has the device written the descriptor back? */
export function txIsDone(view: DataView, at: number): boolean {
  return (view.getUint32(at + 12, true) & TXD_STAT_DD) !== 0;
}
