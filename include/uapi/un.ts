// SPDX-License-Identifier: Apache-2.0
// AF_UNIX addresses. Source: unix(7).
//
// struct sockaddr_un: sun_family u16, sun_path[108].

export const UNIX_PATH_MAX = 108;
export const SOCKADDR_UN_BYTES = 110;
