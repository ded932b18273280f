// Cold layouts of the capture formats, declared: the classic file header, and the fixed parts of a pcapng section header
// and interface description. Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng sections 4.1 and 4.2.
// Per-packet layouts are hand-written in pcap-format.ts and pcapng-format.ts: the declared form allocates.

import { Parser } from 'binary-parser';

/** The classic file header after its magic. */
export interface PcapHeader {
  versionMajor: number;
  versionMinor: number;
  /** Offset of the writer's zone from UTC, in practice 0. */
  thisZone: number;
  significantFigures: number;
  snaplenBytes: number;
  /** Link type in the low 16 bits; above them, whether and how long an FCS is. */
  linkTypeAndFcs: number;
}

/** A section header's body after the byte-order magic, without options. */
export interface SectionHeader {
  versionMajor: number;
  versionMinor: number;
  sectionLengthHigh: number;
  sectionLengthLow: number;
}

/** An interface description's body, without options. */
export interface InterfaceDescription {
  linkType: number;
  reserved: number;
  snaplenBytes: number;
}

const pcapHeader = (endian: 'big' | 'little') =>
  Parser.start()
    .endianness(endian)
    .uint16('versionMajor')
    .uint16('versionMinor')
    .int32('thisZone')
    .uint32('significantFigures')
    .uint32('snaplenBytes')
    .uint32('linkTypeAndFcs');

const sectionHeader = (endian: 'big' | 'little') =>
  Parser.start()
    .endianness(endian)
    .uint16('versionMajor')
    .uint16('versionMinor')
    .uint32('sectionLengthHigh')
    .uint32('sectionLengthLow');

const interfaceDescription = (endian: 'big' | 'little') =>
  Parser.start().endianness(endian).uint16('linkType').uint16('reserved').uint32('snaplenBytes');

const PCAP_HEADER = { big: pcapHeader('big'), little: pcapHeader('little') };
const SECTION_HEADER = { big: sectionHeader('big'), little: sectionHeader('little') };
const INTERFACE = { big: interfaceDescription('big'), little: interfaceDescription('little') };

/** Reads a classic header; `bytes` starts after the magic and holds at least 20 bytes. */
export function parsePcapHeader(bytes: Uint8Array, little: boolean): PcapHeader {
  return PCAP_HEADER[little ? 'little' : 'big'].parse(bytes);
}

/** Reads a section header; `bytes` starts after the byte-order magic and holds at least 12 bytes. */
export function parseSectionHeader(bytes: Uint8Array, little: boolean): SectionHeader {
  return SECTION_HEADER[little ? 'little' : 'big'].parse(bytes);
}

/** Reads an interface description; `bytes` holds at least 8 bytes. */
export function parseInterfaceDescription(
  bytes: Uint8Array,
  little: boolean,
): InterfaceDescription {
  return INTERFACE[little ? 'little' : 'big'].parse(bytes);
}
