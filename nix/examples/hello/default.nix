# The smallest useful machine: a web page on port 80, and SSH.
#
#   moosh take OFFER --blueprint 'git+https://host/repo#default' --port 80
{
  default = import <moosh/micro> {
    name = "hello";
    files."/www/index.html" = ./index.html;
    services.web = "exec httpd -f -p 80 -h /www";
  };
}
