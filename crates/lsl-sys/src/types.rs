//! The types and constants of `lsl_c.h`.

use super::c_uint;

macro_rules! handles {
    ($($doc:literal $opaque:ident $name:ident;)*) => {
        $(
            #[doc = concat!("What a [`", stringify!($name), "`] points to.")]
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub struct $opaque {
                _opaque: [u8; 0],
            }
            #[doc = $doc]
            pub type $name = *mut $opaque;
        )*
    };
}

handles! {
    "The declaration of a stream." lsl_streaminfo_struct_ lsl_streaminfo;
    "The sending end of a stream." lsl_outlet_struct_ lsl_outlet;
    "The receiving end of a stream." lsl_inlet_struct_ lsl_inlet;
    "An element in the description of a stream." lsl_xml_ptr_struct_ lsl_xml_ptr;
    "A search for streams that goes on in the background." lsl_continuous_resolver_ lsl_continuous_resolver;
}

/// The type of a stream's values.
pub type lsl_channel_format_t = c_uint;
/// No type: such a stream cannot be sent.
pub const lsl_channel_format_t_cft_undefined: lsl_channel_format_t = 0;
/// 32-bit floats.
pub const lsl_channel_format_t_cft_float32: lsl_channel_format_t = 1;
/// 64-bit floats.
pub const lsl_channel_format_t_cft_double64: lsl_channel_format_t = 2;
/// Strings of any length.
pub const lsl_channel_format_t_cft_string: lsl_channel_format_t = 3;
/// 32-bit integers.
pub const lsl_channel_format_t_cft_int32: lsl_channel_format_t = 4;
/// 16-bit integers.
pub const lsl_channel_format_t_cft_int16: lsl_channel_format_t = 5;
/// 8-bit integers.
pub const lsl_channel_format_t_cft_int8: lsl_channel_format_t = 6;
/// 64-bit integers.
pub const lsl_channel_format_t_cft_int64: lsl_channel_format_t = 7;

/// What went wrong; 0 when nothing did.
pub type lsl_error_code_t = i32;
/// Nothing did.
pub const lsl_error_code_t_lsl_no_error: lsl_error_code_t = 0;
/// It took longer than allowed.
pub const lsl_error_code_t_lsl_timeout_error: lsl_error_code_t = -1;
/// The stream is gone.
pub const lsl_error_code_t_lsl_lost_error: lsl_error_code_t = -2;
/// An argument has a wrong type or length.
pub const lsl_error_code_t_lsl_argument_error: lsl_error_code_t = -3;
/// Something within liblsl.
pub const lsl_error_code_t_lsl_internal_error: lsl_error_code_t = -4;
