// SPDX-License-Identifier: Apache-2.0
// The second stage of an image: maintainer scripts, run by one shell script inside the guest.
//
// The first stage has unpacked everything at once, so the "preinst install" scripts that dpkg would have run
// before each unpacking run first, in dependency order, from /var/lib/dpkg/tmp.ci as under dpkg (debconf
// finds the package's name and templates there); then one dpkg configures all packages in that order.
// Nothing is started: policy-rc.d forbids it, as Debian's invoke-rc.d asks before it starts a service.
// Source: Debian Policy 6.5 to 6.7, dpkg(1), deb-preinst(5).

import type { UnpackedPackage } from "./dpkg-database.ts";
import { bytesContent, createFile } from "./tree.ts";
import type { Tree } from "./tree.ts";

/** The script and the control files it needs lie here; the finished image has none of it. */
export const SECOND_STAGE_DIRECTORY = "var/lib/rookery";
export const SECOND_STAGE_PATH: string = `${SECOND_STAGE_DIRECTORY}/second-stage`;

/** Accounts come before all else: other packages' scripts look users up. */
const FIRST_PREINST = "base-passwd";

/** Puts the script, and what it needs, into `tree`. `ordered` is the order in which to configure. */
export function putSecondStage(tree: Tree, ordered: readonly UnpackedPackage[], mtime: number): void {
  const preinsts = ordered.filter(({ files }) => files.some((file) => file.name === "preinst"))
    .sort((a, b) => Number(b.chosen.name === FIRST_PREINST) - Number(a.chosen.name === FIRST_PREINST));
  for (const { chosen, files } of preinsts) {
    for (const { name, mode, bytes } of files) {
      if (name === "md5sums") continue;
      tree.put(
        `${SECOND_STAGE_DIRECTORY}/${chosen.name}/${name}`,
        createFile(mode, mtime, bytesContent(bytes)),
      );
    }
  }
  const script = Buffer.from(secondStageScript(preinsts, ordered), "latin1");
  tree.put(SECOND_STAGE_PATH, createFile(0o755, mtime, bytesContent(script)));
}

function secondStageScript(
  preinsts: readonly UnpackedPackage[],
  ordered: readonly UnpackedPackage[],
): string {
  const calls = preinsts.map(({ chosen }) => `preinst ${chosen.name} ${chosen.architecture}`);
  return `#!/bin/sh
# Configures the packages that the image builder unpacked.
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true DEBCONF_NOWARNINGS=yes
umask 022
cd /
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

preinst() {
  echo "Preparing $1"
  ln -sfn /${SECOND_STAGE_DIRECTORY}/"$1" /var/lib/dpkg/tmp.ci
  DPKG_MAINTSCRIPT_PACKAGE=$1 DPKG_MAINTSCRIPT_ARCH=$2 DPKG_MAINTSCRIPT_NAME=preinst \\
    DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_ROOT= DPKG_ADMINDIR=/var/lib/dpkg \\
    /var/lib/dpkg/tmp.ci/preinst install
}
${calls.join("\n")}
rm -f /var/lib/dpkg/tmp.ci
dpkg --force-confold --configure ${ordered.map(({ chosen }) => chosen.name).join(" ")}
rm -f /usr/sbin/policy-rc.d
audit=$(dpkg --audit)
if [ -n "$audit" ]; then
  echo "$audit"
  exit 1
fi
`;
}
