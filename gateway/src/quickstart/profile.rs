//! Profiles as the phones' guide has them: `<flat-profile>` with one element per parameter.

use std::fmt::Write as _;

use super::folder::Phone;

/// How many lines a phone of the demonstration has.
const LINES: usize = 4;
/// How many line keys.
const KEYS: usize = 10;

/// One phone's profile; its first line has the extension `extension`.
pub(super) fn own(phone: &Phone, extension: usize) -> String {
    let mut parameters = Parameters::begin(&format!("{} {}", phone.product, phone.mac));
    for (section, values) in COMMON {
        parameters.section(section);
        for (name, value) in *values {
            parameters.put(name, value);
        }
    }
    parameters.put("Station_Name", &format!("{} {extension}", phone.product));
    parameters.put("Station_Display_Name", &extension.to_string());
    for line in 1..=LINES {
        parameters.section(&format!("Ext {line}"));
        for (name, value) in LINE {
            parameters.put(&format!("{name}_{line}_"), value);
        }
        let user = if line == 1 { extension.to_string() } else { String::new() };
        parameters.put(&format!("Line_Enable_{line}_"), if line == 1 { "Yes" } else { "No" });
        parameters.put(&format!("Display_Name_{line}_"), &user);
        parameters.put(&format!("User_ID_{line}_"), &user);
        parameters.put(&format!("Auth_ID_{line}_"), &user);
    }
    parameters.section("Phone");
    for key in 1..=KEYS {
        parameters.put(&format!("Extension_{key}_"), if key == 1 { "1" } else { "Disabled" });
        parameters.put(&format!("Short_Name_{key}_"), if key == 1 { "$USER" } else { "" });
        parameters.put(&format!("Share_Call_Appearance_{key}_"), "private");
        parameters.put(&format!("Extended_Function_{key}_"), "");
    }
    for entry in 2..=9 {
        parameters.put(&format!("Speed_Dial_{entry}_Name"), "");
        parameters.put(&format!("Speed_Dial_{entry}_Number"), "");
    }
    parameters.end()
}

/// What all phones of a product have in common, and where each finds its own.
pub(super) fn model(product: &str) -> String {
    let mut parameters = Parameters::begin(product);
    parameters.section("Provisioning");
    for (name, value) in [
        ("Provision_Enable", "Yes"),
        ("Resync_On_Reset", "Yes"),
        ("Resync_Random_Delay", "600"),
        ("Resync_Periodic", "3600"),
        ("Profile_Rule", "/$MA.cfg"),
    ] {
        parameters.put(name, value);
    }
    parameters.end()
}

/// What a unit with the shared certificate gets: where to go next.
pub(super) fn start() -> String {
    let mut parameters = Parameters::begin("first contact");
    parameters.section("Provisioning");
    for (name, value) in
        [("Provision_Enable", "Yes"), ("Resync_On_Reset", "Yes"), ("Profile_Rule", "/$PN.cfg")]
    {
        parameters.put(name, value);
    }
    parameters.end()
}

struct Parameters(String);

impl Parameters {
    fn begin(whose: &str) -> Self {
        Self(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {whose} -->\n<flat-profile>\n"))
    }

    fn section(&mut self, name: &str) {
        let _ = writeln!(self.0, "  <!-- {name} -->");
    }

    fn put(&mut self, name: &str, value: &str) {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = if value.is_empty() {
            writeln!(self.0, "  <{name} ua=\"na\"/>")
        } else {
            writeln!(self.0, "  <{name} ua=\"na\">{value}</{name}>")
        };
    }

    fn end(self) -> String {
        self.0 + "</flat-profile>\n"
    }
}

type Section = (&'static str, &'static [(&'static str, &'static str)]);

const COMMON: &[Section] = &[
    (
        "System Configuration",
        &[
            ("Restricted_Access_Domains", ""),
            ("Enable_Web_Server", "Yes"),
            ("Enable_Protocol", "Https"),
            ("Enable_Direct_Action_Url", "No"),
            ("Session_Max_Timeout", "3600"),
            ("Session_Idle_Timeout", "600"),
            ("Web_Server_Port", "443"),
            ("Enable_Web_Admin_Access", "Yes"),
            ("User_Password_Prompt", "Yes"),
            ("Phone-UI-User-Mode", "Yes"),
        ],
    ),
    (
        "Network",
        &[
            ("IP_Mode", "Dual Mode"),
            ("Connection_Type", "DHCP"),
            ("Host_Name", ""),
            ("Domain", ""),
            ("Primary_DNS", ""),
            ("Secondary_DNS", ""),
            ("DNS_Server_Order", "Manual,DHCP"),
            ("DNS_Query_Mode", "Parallel"),
            ("DNS_Caching_Enable", "Yes"),
            ("Enable_VLAN", "No"),
            ("VLAN_ID", "1"),
            ("PC_Port_VLAN_ID", "1"),
            ("Enable_CDP", "Yes"),
            ("Enable_LLDP-MED", "Yes"),
            ("Network_Startup_Delay", "3"),
            ("Syslog_Server", ""),
            ("Debug_Level", "NOTICE"),
            ("Primary_NTP_Server", "pool.ntp.org"),
            ("Secondary_NTP_Server", ""),
            ("Use_Config_TOS", "No"),
        ],
    ),
    (
        "Voice: SIP",
        &[
            ("Max_Forward", "70"),
            ("Max_Redirection", "5"),
            ("Max_Auth", "2"),
            ("SIP_User_Agent_Name", "$VERSION"),
            ("SIP_Server_Name", "$VERSION"),
            ("SIP_Reg_User_Agent_Name", ""),
            ("SIP_Accept_Language", ""),
            ("RFC_2543_Call_Hold", "No"),
            ("SIP_TCP_Port_Min", "5060"),
            ("SIP_TCP_Port_Max", "5080"),
            ("Caller_ID_Header", "PAID-RPID-FROM"),
            ("Hold_Target_Before_Refer", "No"),
            ("Keep_Referee_When_Refer_Failed", "No"),
            ("SIP_T1", ".5"),
            ("SIP_T2", "4"),
            ("SIP_T4", "5"),
            ("SIP_Timer_B", "16"),
            ("SIP_Timer_F", "16"),
            ("SIP_Timer_H", "16"),
            ("SIP_Timer_D", "16"),
            ("SIP_Timer_J", "16"),
            ("INVITE_Expires", "240"),
            ("ReINVITE_Expires", "30"),
            ("Reg_Min_Expires", "1"),
            ("Reg_Max_Expires", "7200"),
            ("Reg_Retry_Intvl", "30"),
            ("Reg_Retry_Long_Intvl", "1200"),
            ("Reg_Retry_Random_Delay", "0"),
            ("Sub_Min_Expires", "10"),
            ("Sub_Max_Expires", "7200"),
            ("Sub_Retry_Intvl", "10"),
            ("RTP_Port_Min", "16384"),
            ("RTP_Port_Max", "16482"),
            ("RTP_Packet_Size", "0.02"),
            ("RTCP_Tx_Interval", "5"),
            ("Call_Statistics", "Yes"),
            ("G711u_Codec_Name", "PCMU"),
            ("G711a_Codec_Name", "PCMA"),
            ("G729a_Codec_Name", "G729a"),
            ("G722_Codec_Name", "G722"),
            ("OPUS_Codec_Name", "OPUS"),
            ("Handle_VIA_received", "Yes"),
            ("Insert_VIA_received", "No"),
            ("STUN_Enable", "No"),
            ("NAT_Keep_Alive_Intvl", "15"),
        ],
    ),
    (
        "Voice: Provisioning",
        &[
            ("Provision_Enable", "Yes"),
            ("Resync_On_Reset", "Yes"),
            ("Resync_Random_Delay", "600"),
            ("Resync_At__HHmm_", ""),
            ("Resync_At_Random_Delay", "600"),
            ("Resync_Periodic", "3600"),
            ("Resync_Error_Retry_Delay", "3600"),
            ("Forced_Resync_Delay", "14400"),
            ("Resync_From_SIP", "Yes"),
            ("Resync_After_Upgrade_Attempt", "Yes"),
            ("Resync_Fails_On_FNF", "Yes"),
            ("Profile_Rule", "/$MA.cfg"),
            ("Profile_Rule_B", ""),
            ("Profile_Rule_C", ""),
            ("Profile_Rule_D", ""),
            ("Log_Resync_Request_Msg", "$PN $MAC -- Requesting resync $SCHEME://$SERVIP:$PORT$PATH"),
            ("Log_Resync_Success_Msg", "$PN $MAC -- Successful resync $SCHEME://$SERVIP:$PORT$PATH -- $ERR"),
            ("Log_Resync_Failure_Msg", "$PN $MAC -- Resync failed: $ERR"),
            ("Upgrade_Enable", "Yes"),
            ("Upgrade_Error_Retry_Delay", "3600"),
            ("Upgrade_Rule", ""),
            ("Custom_CA_Rule", ""),
            ("GPP_A", ""),
            ("GPP_B", ""),
            ("GPP_C", ""),
            ("GPP_D", ""),
        ],
    ),
    (
        "Voice: Regional",
        &[
            ("Dial_Tone", "350@-19,440@-19;10(*/0/1+2)"),
            ("Busy_Tone", "480@-19,620@-19;10(.5/.5/1+2)"),
            ("Reorder_Tone", "480@-19,620@-19;10(.25/.25/1+2)"),
            ("Ring_Back_Tone", "440@-19,480@-19;*(2/4/1+2)"),
            ("Call_Waiting_Tone", "440@-10;30(.3/9.7/1)"),
            ("Confirm_Tone", "600@-16;1(.25/.25/1)"),
            ("MWI_Dial_Tone", "350@-19,440@-19;2(.1/.1/1+2);10(*/0/1+2)"),
            ("Hook_Flash_Timer_Min", ".1"),
            ("Hook_Flash_Timer_Max", ".9"),
            ("Reorder_Delay", "255"),
            ("Interdigit_Long_Timer", "10"),
            ("Interdigit_Short_Timer", "3"),
            ("Call_Return_Code", "*69"),
            ("Blind_Transfer_Code", "*88"),
            ("Cfwd_All_Act_Code", "*72"),
            ("Cfwd_All_Deact_Code", "*73"),
            ("DND_Act_Code", "*78"),
            ("DND_Deact_Code", "*79"),
            ("Time_Zone", "GMT"),
            ("Time_Offset__HH_mm_", ""),
            ("Daylight_Saving_Time_Rule", "start=3/-1/7/2:0:0;end=10/-1/7/2:0:0;save=1"),
            ("Daylight_Saving_Time_Enable", "Yes"),
            ("Language_Selection", "English-US"),
            ("Locale", "en-US"),
        ],
    ),
    (
        "User",
        &[
            ("Cfwd_Setting", "Yes"),
            ("Cfwd_All_Dest", ""),
            ("Cfwd_Busy_Dest", ""),
            ("Cfwd_No_Ans_Dest", ""),
            ("Cfwd_No_Ans_Delay", "20"),
            ("CW_Setting", "Yes"),
            ("Block_CID_Setting", "No"),
            ("DND_Setting", "No"),
            ("Handset_Input_Gain", "0"),
            ("Ringer_Volume", "9"),
            ("Speaker_Volume", "8"),
            ("Screen_Saver_Enable", "No"),
            ("Screen_Saver_Wait", "300"),
            ("Back_Light_Timer", "5m"),
        ],
    ),
    ("Phone", &[("Voice_Mail_Number", "8000"), ("Ring1", "n=Sunrise;w=file://Sunrise.rwb;c=1")]),
];

/// The parameters that each line has, before the number of the line.
const LINE: &[(&str, &str)] = &[
    ("Share_Ext", "No"),
    ("Shared_User_ID", ""),
    ("Subscription_Expires", "3600"),
    ("NAT_Mapping_Enable", "No"),
    ("NAT_Keep_Alive_Enable", "No"),
    ("NAT_Keep_Alive_Msg", "$NOTIFY"),
    ("SIP_TOS_DiffServ_Value", "0x68"),
    ("RTP_TOS_DiffServ_Value", "0xb8"),
    ("SIP_Transport", "TLS"),
    ("SIP_Port", "5060"),
    ("SIP_100REL_Enable", "No"),
    ("Auth_Resync-Reboot", "Yes"),
    ("SIP_Remote-Party-ID", "No"),
    ("Refer-To_Target_Contact", "No"),
    ("Referee_Bye_Delay", "4"),
    ("Refer_Target_Bye_Delay", "0"),
    ("Sticky_183", "No"),
    ("Auth_INVITE", "No"),
    ("User_Equal_Phone", "No"),
    ("Blind_Attn-Xfer_Enable", "No"),
    ("MOH_Server", ""),
    ("Message_Waiting", "No"),
    ("Mailbox_ID", ""),
    ("Default_Ring", "1"),
    ("Feature_Key_Sync", "Yes"),
    ("Proxy", "sip.example.com"),
    ("Outbound_Proxy", ""),
    ("Use_Outbound_Proxy", "No"),
    ("Register", "Yes"),
    ("Make_Call_Without_Reg", "No"),
    ("Register_Expires", "3600"),
    ("Ans_Call_Without_Reg", "No"),
    ("Use_DNS_SRV", "Yes"),
    ("DNS_SRV_Auto_Prefix", "Yes"),
    ("Proxy_Fallback_Intvl", "3600"),
    ("Preferred_Codec", "OPUS"),
    ("Use_Pref_Codec_Only", "No"),
    ("G729a_Enable", "Yes"),
    ("G722_Enable", "Yes"),
    ("DTMF_Tx_Method", "Auto"),
    ("Secure_Call_Option", "Optional"),
    ("Dial_Plan", "(*xx|[3469]11|0|00|[2-9]xxxxxx|1xxx[2-9]xxxxxxS0|xxxxxxxxxxxx.)"),
    ("Enable_IP_Dialing", "No"),
    ("Emergency_Number", "911,112"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quickstart::folder::PHONES;

    #[test]
    fn a_profile_has_some_hundred_parameters_each_closed() {
        let [phone, _] = PHONES;
        let text = own(&phone, 2001);
        let parameters = text.lines().filter(|line| line.contains("ua=\"na\"")).count();
        assert!(parameters >= 300, "{parameters}");
        for line in text.lines().filter(|line| line.contains("ua=\"na\"")) {
            let name = line.trim().trim_start_matches('<').split(' ').next().unwrap();
            assert!(line.ends_with("/>") || line.ends_with(&format!("</{name}>")), "{line}");
        }
        assert!(text.contains("<User_ID_1_ ua=\"na\">2001</User_ID_1_>"));
        assert!(text.ends_with("</flat-profile>\n"));
    }

    #[test]
    fn a_value_cannot_open_an_element() {
        let mut parameters = Parameters::begin("x");
        parameters.put("Dial_Plan_1_", "(<:1>x&y)");
        assert!(parameters.end().contains("(&lt;:1&gt;x&amp;y)"));
    }
}
