# Runs in Nix's sandbox with busybox alone: $out gets kernel, initrd and cmdline.
# In: $guest, $skeleton, $tablePath (lines "source TAB path in the guest"), $modules, $cmdline.
set -eu
busybox=$guest/bin/busybox
"$busybox" mkdir "$PWD/bin"
"$busybox" --install -s "$PWD/bin"
export PATH=$PWD/bin

root=$PWD/root
version=$(cat "$guest/version")
mkdir -p root/bin root/dev root/proc root/sys root/run root/tmp root/root root/data root/usr/bin root/lib64 root/var/log root/var/tmp
cp -r "$skeleton/." root/
chmod -R u+w root
ln -s bin root/sbin
ln -s ../bin root/usr/sbin
ln -s /run root/var/run

cp "$guest"/bin/* root/bin/
cp -r "$guest/lib" root/
chmod -R u+w root
ln -s ../lib/ld-linux-x86-64.so.2 root/lib64/
# Links, not `busybox --install` at boot: an applet's name costs one inode here and a process there.
for applet in $("$busybox" --list); do
  [ -e "root/bin/$applet" ] || ln -s busybox "root/bin/$applet"
done

while IFS='	' read -r source path; do
  mkdir -p "root$(dirname "$path")"
  cp -rL "$source" "root$path"
  chmod -R u+w "root$path"
done <"$tablePath"

if [ -d root/etc/moosh/services ]; then
  for service in root/etc/moosh/services/*; do
    chmod 755 "$service"
    printf 'null::respawn:/etc/moosh/services/%s\n' "${service##*/}" >>root/etc/inittab
  done
fi
printf '%s\n' "$version" >root/etc/moosh/kernel
for module in $modules; do
  [ -e "root/lib/modules/$version/$module.ko" ] || { echo "micro guest: there is no kernel module $module" >&2; exit 1; }
  printf '%s\n' "$module" >>root/etc/moosh/modules
done

mkdir -p "$out"
( cd root && find . | sort | cpio -o -H newc -R 0:0 2>/dev/null ) >initrd.cpio
cp initrd.cpio "$out/initrd"
cp "$guest/vmlinuz" "$out/kernel"
printf '%s\n' "console=ttyS0 quiet loglevel=3 panic=5 random.trust_cpu=on rcupdate.rcu_expedited=1 cryptomgr.notests 8250.nr_uarts=1${cmdline:+ $cmdline}" >"$out/cmdline"
