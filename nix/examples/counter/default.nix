# A service with memory: counts its visitors on the data disk, so the count survives reboots and updates.
{
  default = import <moosh/micro> {
    name = "counter";
    files."/www/cgi-bin/count" = ./count;
    files."/www/index.html" = "<a href=\"/cgi-bin/count\">count me</a>\n";
    services.web = "exec httpd -f -p 80 -h /www";
  };
}
