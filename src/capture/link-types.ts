// Link types of captures: the numbers of the tcpdump.org registry that this reader accepts.
//
// Numbers 12 and 14 are "raw IP" as some BSD systems number it inside their own files (DLT_RAW there); 101 is the
// registry's own. Everything not listed here is refused with its number (see reader).

export const LINKTYPE_NULL = 0; // BSD loopback, address family in the writer's byte order
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW_BSD = 12; // raw IP
export const LINKTYPE_RAW_OPENBSD = 14; // raw IP
export const LINKTYPE_RAW = 101; // raw IP, version told by the first nibble
export const LINKTYPE_LOOP = 108; // OpenBSD loopback, address family in network byte order
export const LINKTYPE_LINUX_SLL = 113; // Linux "any", 16-byte header
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_LINUX_SLL2 = 276; // Linux "any", 20-byte header

/** Whether packets of this link type are read. */
export function isLinkTypeSupported(linkType: number): boolean {
  return linkTypeName(linkType) !== '';
}

/** Short name for messages; '' when the type is not supported. */
export function linkTypeName(linkType: number): string {
  switch (linkType) {
    case LINKTYPE_NULL:
      return 'NULL';
    case LINKTYPE_ETHERNET:
      return 'EN10MB';
    case LINKTYPE_RAW_BSD:
    case LINKTYPE_RAW_OPENBSD:
    case LINKTYPE_RAW:
      return 'RAW';
    case LINKTYPE_LOOP:
      return 'LOOP';
    case LINKTYPE_LINUX_SLL:
      return 'LINUX_SLL';
    case LINKTYPE_IPV4:
      return 'IPV4';
    case LINKTYPE_IPV6:
      return 'IPV6';
    case LINKTYPE_LINUX_SLL2:
      return 'LINUX_SLL2';
    default:
      return '';
  }
}

/** The types the reader accepts, for its message. */
export const SUPPORTED_LINK_TYPES = '0, 1, 12, 14, 101, 108, 113, 228, 229 or 276';
